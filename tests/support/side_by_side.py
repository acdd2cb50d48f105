"""Tests that mostly wait for a cluster, run at once: each has a namespace and a thread of its own.

    @side_by_side
    def test_something(stage: Stage) -> None: ...

What the decorator leaves is an ordinary test, which waits for its own scene. The first one that is
run starts the scenes of all tests that were selected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster_report import objects_of, report_of
from operator_release import EXAMPLES, Application, Images, Release
from windlass_cluster.namespace import Namespace, fresh_namespace


@dataclass(slots=True)
class Stage:
    """Where one scene plays.

    Attributes:
        release: The chart, installed once for all.
        has_metrics: Pods' CPU is measured, as an HPA needs.
    """

    name: str
    release: Release
    images: Images
    folder: Path
    has_metrics: bool
    _namespaces: list[Namespace] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def application(self, folder: Path) -> Application:
        """A new namespace for an application, and its image, built from a folder."""
        space = fresh_namespace(self.release.namespace.access, self.name.replace("test_", ""))
        namespace = self._stack.enter_context(space)
        self._namespaces.append(namespace)
        scratch = self.folder / f"{self.name}-{len(self._namespaces)}"
        scratch.mkdir()
        return Application(namespace, self.images.application(folder, scratch))

    def example(self, name: str, *files: str) -> Application:
        """An application of examples/, with these of its files applied."""
        made = self.application(EXAMPLES / name)
        for file in files:
            made.apply_file(EXAMPLES / name / file)
        return made

    def play(self, scene: Callable[[Stage], None]) -> None:
        """Run a scene; what its namespaces know goes with its failure."""
        with self._stack:
            try:
                scene(self)
            except pytest.skip.Exception:
                raise
            except BaseException as failed:
                for namespace in self._namespaces:
                    failed.add_note(f"{namespace.describe_failure()}\n{objects_of(namespace)}")
                for title, said in report_of([self.release]):
                    failed.add_note(f"--- {title}\n{said}")
                raise


Scene = Callable[[Stage], None]


class Scenes:
    """The scenes that are playing, by their names."""

    def __init__(self, threads: ThreadPoolExecutor, stage: Callable[[str], Stage]) -> None:
        self._threads = threads
        self._stage = stage
        self._playing: dict[str, Future[None]] = {}

    def start(self, scenes: Iterable[Scene]) -> None:
        """Start them."""
        for scene in scenes:
            stage = self._stage(scene.__name__)
            self._playing[scene.__name__] = self._threads.submit(stage.play, scene)

    def wait_for(self, scene: Scene) -> None:
        """Return when a scene is over; raises what it raised."""
        self._playing[scene.__name__].result()


def side_by_side(scene: Scene) -> Callable[[Scenes], None]:
    """Make a test of a scene."""

    def test(scenes: Scenes) -> None:
        scenes.wait_for(scene)

    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    test.__module__ = scene.__module__
    test.scene = scene  # type: ignore[attr-defined]
    return test


def scenes_of(items: Iterable[Any]) -> list[Scene]:
    """The scenes of the tests that were selected."""
    functions = (getattr(item, "function", None) for item in items)
    return [function.scene for function in functions if hasattr(function, "scene")]
