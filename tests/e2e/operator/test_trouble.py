"""What is broken is said where a person looks: in the pool's conditions, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from side_by_side import Stage, side_by_side

pytestmark = pytest.mark.e2e

_QUEUE: dict[str, Any] = {
    "apiVersion": "windlass.dev/v1alpha1", "kind": "TaskQueue", "metadata": {"name": "work"},
}  # fmt: skip


def _pool(name: str, image: str, **spec: Any) -> dict[str, Any]:
    fields = {"app": "job", "image": image, "queues": [{"name": "work"}], "replicas": 1, **spec}
    return {**_QUEUE, "kind": "WorkerPool", "metadata": {"name": name}, "spec": fields}


@side_by_side
def test_pods_that_cannot_start_say_why_in_the_condition(stage: Stage) -> None:
    application = stage.application(Path(__file__).parent / "app")
    image = application.image
    nowhere = {"spec": {"nodeSelector": {"there-is": "no-such-node"}}}
    application.namespace.apply(
        _QUEUE,
        _pool("no-image", "registry.invalid/none:1"),
        _pool("no-module", image, app="no_such_module"),
        _pool("no-node", image, podTemplate=nowhere),
    )

    expected = {
        "no-image": ("ImagePullFailed", "registry.invalid/none:1"),
        "no-module": ("WorkersCrashLooping", "no_such_module"),
        "no-node": ("Unschedulable", "node"),
    }
    for name, (reason, word) in expected.items():
        said = application.wait_condition(f"workerpool/{name}", "Degraded", reason, timeout_s=300)
        assert said["status"] == "True"
        assert word in said["message"]
