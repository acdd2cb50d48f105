"""The Debian packages the native provider needs, and how they get there.

On Debian as root what is missing is installed, and said; anywhere else the error names the exact
command. A program that is on the PATH counts as installed however it came there.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from windlass_cluster.commands import run
from windlass_cluster.errors import MissingToolError
from windlass_cluster.native.locks import locked
from windlass_cluster.paths import cache_dir
from windlass_cluster.progress import step

# A package, and how to tell that what it brings is there.
Packages = Mapping[str, Callable[[], bool]]


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _static_libc() -> bool:
    places = ("usr/lib/*-linux-gnu/libc.a", "usr/lib64/libc.a", "usr/lib/libc.a")
    return any(any(Path("/").glob(place)) for place in places)


def _library(name: str) -> Callable[[], bool]:
    def is_there() -> bool:
        if shutil.which("pkg-config") is None:
            return False
        return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0

    return is_there


API_LEVEL: Packages = {"openssl": _program("openssl")}
RUN_NODES: Packages = {
    **API_LEVEL,
    "iproute2": _program("ip"),
    "util-linux": _program("nsenter"),
    "procps": _program("sysctl"),
    "mount": _program("mount"),
    "hostname": _program("hostname"),
    "nftables": _program("nft"),
    "conntrack": _program("conntrack"),
    "ethtool": _program("ethtool"),
    "socat": _program("socat"),
    # For the pause image, a static program.
    "gcc": _program("gcc"),
    "libc6-dev": _static_libc,
}
BUILD_RUNC: Packages = {
    "gcc": _program("gcc"),
    "libc6-dev": _static_libc,
    "pkg-config": _program("pkg-config"),
    "libseccomp-dev": _library("libseccomp"),
}
MAKE_IMAGES: Packages = {"buildah": _program("buildah"), "debootstrap": _program("debootstrap")}


def ensure(packages: Packages) -> None:
    """Sees to it that what these packages bring is there.

    Raises:
        MissingToolError: Something is missing and cannot be installed from here.
    """
    missing = [package for package, is_there in packages.items() if not is_there()]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingToolError(", ".join(missing), install=f"sudo {' '.join(command)}")
    with locked(cache_dir() / "locks" / "apt"), step(f"installing {', '.join(missing)}"):
        run(["apt-get", "update"], timeout_s=900)
        run(["env", "DEBIAN_FRONTEND=noninteractive", *command], timeout_s=900)
