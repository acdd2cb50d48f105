"""Where no cluster can be had, tests that need one are skipped with the reason, or fail in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from windlass_cluster import paths

_TEST = """
import pytest

@pytest.mark.e2e
def test_needs_a_cluster(namespace):
    raise AssertionError("never reached")
"""


def _run(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A pytest run of one test on a machine where only an unnamed cluster could be had."""
    (folder / "test_inner.py").write_text(_TEST)
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_ADDOPTS")}
    env.pop("WINDLASS_KUBECONFIG", None)
    env |= {"WINDLASS_CLUSTER_PROVIDER": "existing", "XDG_STATE_HOME": str(folder / "state")}
    env |= {"PYTHONPATH": str(paths.PACKAGE.parent), **variables}
    argv = [sys.executable, "-m", "pytest", "-p", "windlass_cluster.pytest_plugin", "-rs", "-q"]
    argv += ["-p", "no:cacheprovider", "-o", "addopts=", "-W", "ignore", str(folder)]
    return subprocess.run(
        argv, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_cluster_the_test_is_skipped_loudly(tmp_path: Path) -> None:
    done = _run(tmp_path)

    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "THESE TESTS PROVE NOTHING HERE" in done.stdout
    assert "WINDLASS_KUBECONFIG is not set" in done.stdout


def test_without_a_cluster_the_test_fails_in_ci(tmp_path: Path) -> None:
    done = _run(tmp_path, CI="true")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "CI is set and no cluster can be had" in done.stdout


def test_importing_the_plugin_needs_no_package_but_pytest() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['kubernetes', 'kopf', 'yaml', 'redis']));"
        "import windlass_cluster.pytest_plugin"
    )
    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=30)
