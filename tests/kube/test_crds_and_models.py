"""A document is accepted by the API server and by `windlass up`, or refused by both.

Every field of the CRDs is given what is just allowed, just not allowed, and of another type.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from resource_documents import FULL_POOL, FULL_QUEUE, FULL_SCHEDULE
from resource_files import KINDS, crd, fields, schema
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator.models.beatschedule import BeatScheduleSpec
from windlass_operator.models.resource import InvalidSpecError, Spec, check_spec
from windlass_operator.models.taskqueue import TaskQueueSpec
from windlass_operator.models.workerpool import WorkerPoolSpec

pytestmark = pytest.mark.kube

_MODELS: dict[str, type[Spec]] = {
    "TaskQueue": TaskQueueSpec, "WorkerPool": WorkerPoolSpec, "BeatSchedule": BeatScheduleSpec,
}  # fmt: skip
_FULL = {"TaskQueue": FULL_QUEUE, "WorkerPool": FULL_POOL, "BeatSchedule": FULL_SCHEDULE}
_WORDS = ("", "a", "a-b", "A b", "é", "-a", "a.b", "3", "0", "0s", "1s", "1500ms", "1.5s", "5m",
          "1h30m", "30m1h", "7d", "400d", "9999d", "-1s", "1 s", "64Mi", "1.5Gi", "1Xi",
          "redis://h", "http://h", "redis://u:p@h/1", " ")  # fmt: skip


class Server:
    """The API server's verdict on documents, without keeping any: some thousand a minute."""

    def __init__(self, access: Access, namespace: str, folder: Path) -> None:
        config = json.loads(access.kubectl("config", "view", "--raw", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        pair = folder / "client.pem"
        pair.touch(mode=0o600)
        for part in ("client-certificate-data", "client-key-data"):
            with pair.open("ab") as file:
                file.write(base64.b64decode(user[part]))
        tls.load_cert_chain(pair)
        place = urlsplit(cluster["server"])
        assert place.hostname
        self._link = http.client.HTTPSConnection(place.hostname, place.port, context=tls)
        self._namespace = namespace

    def close(self) -> None:
        self._link.close()

    def refusal(self, body: Mapping[str, Any]) -> str:
        """Why a document is refused, '' if it is not."""
        space = f"/apis/windlass.dev/v1alpha1/namespaces/{self._namespace}/{KINDS[body['kind']]}"
        text = json.dumps({**body, "metadata": {"name": body["metadata"]["name"]}})
        self._link.request("POST", f"{space}?dryRun=All&fieldValidation=Strict", text,
                           {"Content-Type": "application/json"})  # fmt: skip
        answer = self._link.getresponse()
        said = json.loads(answer.read())
        assert answer.status in (201, 400, 422), said
        return "" if answer.status == 201 else str(said["message"])


def model_refusal(body: Mapping[str, Any]) -> str:
    try:
        check_spec(_MODELS[body["kind"]], body)
    except InvalidSpecError as error:
        return str(error)
    return ""


def values_for(node: Mapping[str, Any]) -> Iterator[Any]:
    """What is tried in a field."""
    kind = node.get("type")
    yield from ("word", 3, True, 1.5, [], {}, ["a"], {"a": 1})
    if kind == "string":
        yield from (*_WORDS, *node.get("enum", ()))
        for length in (node.get("minLength"), node.get("maxLength")):
            if length is not None:
                yield from ("a" * length, "a" * (length + 1))
    if kind in ("integer", "number"):
        yield from (-1, 0, 1, 2, 100, 2**31, 2**63)
        for bound in (node.get("minimum"), node.get("maximum")):
            if bound is not None:
                yield from (bound - 1, bound, bound + 1)


def with_value(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any] | None:
    """The document with a field set; None where it has no place for it."""
    result: dict[str, Any] = json.loads(json.dumps(body))
    node: Any = result
    parts = path.replace("[]", ".0").replace(".*", ".k").split(".")
    for part, after in pairwise(parts):
        if isinstance(node, list):
            if not node:
                return None
            node = node[int(part)]
        elif after == "0" and not node.get(part):
            return None
        else:
            node = node.setdefault(part, {})
    last = parts[-1]
    if isinstance(node, list):
        if not node:
            return None
        node[int(last)] = value
    else:
        node[last] = value
    return result


def documents(kind: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Field by field, value by value."""
    for field in fields(schema(kind)):
        if field.path.startswith("spec."):
            for value in values_for(field.node):
                body = with_value(_FULL[kind], field.path, value)
                if body is not None:
                    yield field.path, value, body


@pytest.mark.parametrize("kind", _MODELS)
def test_server_and_models_agree_on_every_field(
    kube_api: Access,
    kube_namespace: Namespace,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    kube_api.apply(crd(kind))
    kube_api.kubectl("wait", f"crd/{KINDS[kind]}.windlass.dev", "--for=condition=Established",
                     "--timeout=30s")  # fmt: skip
    server = Server(kube_api, kube_namespace.name, tmp_path)
    request.addfinalizer(server.close)
    assert server.refusal(_FULL[kind]) == model_refusal(_FULL[kind]) == ""
    accepted, disputed = 0, []
    for path, value, body in documents(kind):
        theirs, ours = server.refusal(body), model_refusal(body)
        accepted += not theirs
        if bool(theirs) != bool(ours):
            disputed.append(f"{path} = {value!r}: server {theirs[:150]!r}, models {ours[:150]!r}")

    assert not disputed, "\n".join(disputed)
    assert accepted > 50, "hardly anything was ever accepted: both may just refuse everything"
