"""The Debian packages the native provider needs, and how they get there.

On Debian as root what is missing is installed, and said; anywhere else the error names the exact
command. A program that is on the PATH counts as installed however it came there.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from windlass_cluster.commands import run
from windlass_cluster.errors import MissingToolError
from windlass_cluster.native.locks import locked
from windlass_cluster.paths import cache_dir
from windlass_cluster.progress import step

# package -> the program that shows it is there
API_LEVEL: Mapping[str, str] = {"openssl": "openssl"}
RUN_NODES: Mapping[str, str] = {
    "openssl": "openssl",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "procps": "sysctl",
    "mount": "mount",
    "hostname": "hostname",
    "nftables": "nft",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "gcc": "gcc",
}
BUILD_RUNC: Mapping[str, str] = {"gcc": "gcc", "pkg-config": "pkg-config"}
MAKE_IMAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}


def ensure(packages: Mapping[str, str], *, libraries: Mapping[str, str] | None = None) -> None:
    """Sees to it that the programs of these packages are there.

    Args:
        packages: Program by package.
        libraries: pkg-config name by package, for what is only linked against.

    Raises:
        MissingToolError: Something is missing and cannot be installed from here.
    """
    missing = [package for package, program in packages.items() if shutil.which(program) is None]
    missing += [package for package, name in (libraries or {}).items() if not _has_library(name)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingToolError(", ".join(missing), install=f"sudo {' '.join(command)}")
    with locked(cache_dir() / "locks" / "apt"), step(f"installing {', '.join(missing)}"):
        run(["apt-get", "update"], timeout_s=900)
        run(["env", "DEBIAN_FRONTEND=noninteractive", *command], timeout_s=900)


def has_static_libc() -> bool:
    """Whether a static C program can be linked (the pause image is one)."""
    return any(Path("/usr/lib").glob("*-linux-gnu/libc.a"))


def _has_library(name: str) -> bool:
    if shutil.which("pkg-config") is None:
        return False
    return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0
