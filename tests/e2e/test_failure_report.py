"""A test that fails in the cluster shows what a person would ask the cluster first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from windlass_cluster import paths
from windlass_cluster.manifests import pod_spec
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e

_FAILING = """
import pytest

def test_fails(namespace):
    spec = {image_spec}
    metadata = {{"name": "sad"}}
    namespace.apply({{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}})
    namespace.wait("pod/sad", until="jsonpath={{.status.phase}}=Failed", timeout_s=60)
    assert False, "on purpose"
"""


def test_report_of_a_failed_test_has_events_states_descriptions_and_logs(
    namespace: Namespace, cluster_provider: Provider, tmp_path: Path
) -> None:
    command = ["python3", "-c", "print('last words'); exit(3)"]
    spec = pod_spec(cluster_provider.python_image(), command) | {"restartPolicy": "Never"}
    (tmp_path / "test_sad.py").write_text(_FAILING.format(image_spec=spec))
    argv = [sys.executable, "-m", "pytest", "-p", "windlass_cluster.pytest_plugin", "-q"]
    argv += ["-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(paths.PACKAGE.parent)}
    if cluster_provider.name != "existing":
        # The run inside uses the cluster of the run outside.
        env["WINDLASS_CLUSTER_NAME"] = namespace.access.kubeconfig.parent.name.removeprefix("kind-")

    done = subprocess.run(
        [*argv, str(tmp_path)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    told = ("--- pods", "--- events", "Scheduled", "Exit Code:    3", "[pod/sad/main] last words")
    assert [one for one in told if one not in done.stdout] == []
