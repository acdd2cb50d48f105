"""Makes and removes the control groups that hold a node's pods, on cgroup v1 and v2."""

import os
import time
from pathlib import Path

PARENT = "windlass-test"
_EMPTY_S = 10.0
_ROOT = Path("/sys/fs/cgroup")


def create(group: str) -> None:
    """Makes a control group in every hierarchy, ready for a kubelet to build under."""
    for hierarchy in _hierarchies():
        folder = hierarchy
        for part in Path(group.strip("/")).parts:
            parent, folder = folder, folder / part
            folder.mkdir(exist_ok=True)
            _inherit_cpuset(parent, folder)
            _delegate(parent)


def remove(group: str) -> None:
    """Removes a control group and everything under it; processes in it must be gone."""
    for hierarchy in _hierarchies():
        top = hierarchy / group.strip("/")
        for folder, _, _ in os.walk(top, topdown=False):
            _remove_when_empty(Path(folder))
        if top.parent.name == PARENT and top.parent.is_dir() and not _has_children(top.parent):
            top.parent.rmdir()


def _remove_when_empty(group: Path) -> None:
    """A process that was just killed is in its group for a moment longer."""
    deadline = time.monotonic() + _EMPTY_S
    while True:
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _hierarchies() -> list[Path]:
    """Every mounted hierarchy: one on v2, one per controller on v1 (links are aliases)."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [one for one in sorted(_ROOT.iterdir()) if one.is_dir() and not one.is_symlink()]


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    """A new v1 cpuset is empty, and nothing can run in an empty one."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and not file.read_text().strip() and (parent / name).exists():
            file.write_text((parent / name).read_text())


def _delegate(parent: Path) -> None:
    """On v2 a group has only the controllers its parent hands down."""
    control = parent / "cgroup.subtree_control"
    if not control.exists():
        return
    offered = (parent / "cgroup.controllers").read_text().split()
    control.write_text(" ".join(f"+{one}" for one in offered))


def _has_children(folder: Path) -> bool:
    return any(one.is_dir() for one in folder.iterdir())
