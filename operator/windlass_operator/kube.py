"""The Kubernetes API, as much as we need of it: plain dictionaries, server-side apply, few verbs.

The only importer of `kubernetes`. Watching is kopf's; everything else goes through here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config

from windlass.errors import WindlassError

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
#: At once: more than there are objects worked on, so that the Lease never waits for a free one.
_CONNECTIONS = 64
#: A server that asks for a pause (429) and does not say how long: so long; and never longer than.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
#: Objects a page of a listing.
_PAGE = 500
#: kind -> (API prefix, plural).
_PLACES = {
    "TaskQueue": ("/apis/windlass.dev/v1alpha1", "taskqueues"),
    "WorkerPool": ("/apis/windlass.dev/v1alpha1", "workerpools"),
    "BeatSchedule": ("/apis/windlass.dev/v1alpha1", "beatschedules"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Pod": ("/api/v1", "pods"),
    "Secret": ("/api/v1", "secrets"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Event": ("/api/v1", "events"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "Namespace": ("/api/v1", "namespaces"),
}


class KubeError(WindlassError):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, status: int, reason: str, what: str) -> None:
        super().__init__(f"{what}: {status} {reason}")
        self.status = status

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (0, 409, 429) or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """One object."""

    kind: str
    namespace: str
    name: str = ""

    def path(self, subresource: str = "") -> str:
        """Path on the API server; of the collection when there is no name (or namespace)."""
        prefix, plural = _PLACES[self.kind]
        parts = [prefix]
        if self.kind != "Namespace" and self.namespace:
            parts.append(f"namespaces/{quote(self.namespace)}")
        parts.append(plural)
        if self.name:
            parts.append(quote(self.name))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def _verb(method: str, ref: Ref) -> str:
    if method == "GET":
        return "get" if ref.name else "list"
    return {"POST": "create", "PUT": "update"}.get(method, method.lower())


class Kube:
    """A client. Counts its requests by RBAC verb and resource, for metrics and tests."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self.requests: dict[tuple[str, str], int] = {}
        self._session: aiohttp.ClientSession | None = None
        #: Nothing but the Lease is sent before: the server asked for a pause.
        self._paused_until_s = 0.0

    @classmethod
    async def connect(cls) -> Self:
        """Use the pod's service account, or the kubeconfig of a person."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(configuration))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, ref: Ref) -> dict[str, Any] | None:
        """Return an object, None if it is not there."""
        try:
            return await self._request("GET", ref)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def list_page(
        self, kind: str, namespace: str, *, selector: str = "", more: str = ""
    ) -> dict[str, Any]:
        """Return a page of a kind's objects, of all namespaces if none is named.

        Args:
            kind: One that is known here.
            namespace: '' for all.
            selector: Of labels.
            more: The `continue` of the page before.
        """
        query = {"limit": str(_PAGE), "labelSelector": selector, "continue": more}
        query = {key: value for key, value in query.items() if value}
        return await self._request("GET", Ref(kind=kind, namespace=namespace), query=query)

    async def apply(
        self, manifest: Mapping[str, Any], manager: str, *, subresource: str = ""
    ) -> dict[str, Any]:
        """Server-side apply, as the owner of what the manifest says."""
        metadata = manifest["metadata"]
        ref = Ref(kind=manifest["kind"], namespace=metadata["namespace"], name=metadata["name"])
        query = {"fieldManager": manager, "force": "true"}
        return await self._request(
            "PATCH", ref, subresource, query=query, body=manifest, content_type=APPLY
        )

    async def patch(
        self,
        ref: Ref,
        body: Any,
        *,
        content_type: str = MERGE,
        subresource: str = "",
        manager: str = "",
    ) -> dict[str, Any]:
        """Patch an object."""
        query = {"fieldManager": manager} if manager else {}
        return await self._request(
            "PATCH", ref, subresource, query=query, body=body, content_type=content_type
        )

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        ref = Ref(kind=manifest["kind"], namespace=manifest["metadata"]["namespace"])
        return await self._request("POST", ref, body=manifest)

    async def replace(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object, if it is still at its resourceVersion."""
        metadata = manifest["metadata"]
        ref = Ref(kind=manifest["kind"], namespace=metadata["namespace"], name=metadata["name"])
        return await self._request("PUT", ref, body=manifest)

    async def delete(self, ref: Ref) -> None:
        """Delete an object; one that is not there is a success."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", ref, body=body)
        except KubeError as error:
            if error.status != 404:
                raise

    async def _request(
        self,
        method: str,
        ref: Ref,
        subresource: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        if time.monotonic() < self._paused_until_s and ref.kind != "Lease":
            reason = "not sent: the API server asked for a pause"
            raise KubeError(429, reason, f"{method} {ref.path(subresource)}")
        counted = (_verb(method, ref), "/".join(filter(None, (_PLACES[ref.kind][1], subresource))))
        self.requests[counted] = self.requests.get(counted, 0) + 1
        path = ref.path(subresource)
        what = f"{method} {path}"
        headers = {"Accept": "application/json", "Content-Type": content_type}
        auth = ["BearerToken"]
        await self._api.update_params_for_auth(headers, [], auth, path, method, body)
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else msgspec.json.encode(body)
        server = self._api.configuration
        try:
            async with self._connections().request(
                method, url, headers=headers, data=data, timeout=_TIMEOUT, proxy=server.proxy,
                server_hostname=server.tls_server_name,
            ) as response:  # fmt: skip
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeError(0, str(error) or type(error).__name__, what) from error
        answer = _decoded(raw)
        if response.status == 429:
            self._pause(response.headers.get("Retry-After", ""))
        if response.status >= 400:
            reason = (answer or {}).get("message") or response.reason or ""
            raise KubeError(response.status, reason, what)
        if answer is None:  # of something between us and the API server
            raise KubeError(0, f"the answer is no JSON object: {raw[:100]!r}", what)
        return answer

    def _pause(self, said: str) -> None:
        """Leave the server alone for as long as it said: asking again only makes it worse."""
        pause_s = float(said) if said.isdigit() else _PAUSE_S
        self._paused_until_s = time.monotonic() + min(pause_s, _LONGEST_PAUSE_S)

    def _connections(self) -> aiohttp.ClientSession:
        """A session of our own: the client's reads ~/.netrc anew for every request."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS, ssl=self._api.rest_client.ssl_context
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _decoded(raw: bytes) -> dict[str, Any] | None:
    try:
        answer = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError:
        return None
    return answer if isinstance(answer, dict) else None
