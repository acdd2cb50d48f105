"""helm works on the test cluster, and the cluster says a version that charts can ask about."""

import json
from pathlib import Path

import pytest

from windlass_cluster.errors import CommandFailedError
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.e2e

_CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-facts"}
data: {version: "{{ .Capabilities.KubeVersion.Version }}", word: "{{ .Values.word }}"}
"""


def _chart(folder: Path, *, kube_version: str) -> str:
    """A chart of one ConfigMap, for some versions of Kubernetes."""
    (folder / "templates").mkdir(parents=True)
    facts = {"apiVersion": "v2", "name": "proof", "version": "0.1.0", "kubeVersion": kube_version}
    (folder / "Chart.yaml").write_text(json.dumps(facts))
    (folder / "values.yaml").write_text("word: none\n")
    (folder / "templates" / "facts.yaml").write_text(_CONFIG_MAP)
    return str(folder)


def test_chart_is_installed_upgraded_and_removed(namespace: Namespace, tmp_path: Path) -> None:
    chart = _chart(tmp_path / "chart", kube_version=">=1.35.0")

    namespace.helm("install", "proof", chart, "--set=word=first", "--wait")
    assert namespace.get("configmap", "proof-facts")["data"]["word"] == "first"

    namespace.helm("upgrade", "proof", chart, "--set=word=second", "--wait")
    stored = namespace.get("configmap", "proof-facts")["data"]
    assert stored["word"] == "second"
    assert (
        stored["version"]
        == namespace.access.get("nodes")["items"][0]["status"]["nodeInfo"]["kubeletVersion"]
    )

    namespace.helm("uninstall", "proof", "--wait")
    assert namespace.kubectl("get", "configmap", "proof-facts", "--ignore-not-found") == ""


def test_chart_for_a_later_kubernetes_is_refused(namespace: Namespace, tmp_path: Path) -> None:
    chart = _chart(tmp_path / "chart", kube_version=">=2.0.0")

    with pytest.raises(CommandFailedError, match="incompatible with Kubernetes"):
        namespace.helm("install", "proof", chart)
