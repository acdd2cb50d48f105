"""The session that kopf's watches ask with: a place in the history that is gone is given up.

An API server answers 410 where a watch, or the next page of a listing, asks for a version that it
does not keep any more, after a restore of etcd for example. kopf expects that in the middle of a
stream only; as an answer it would end the operator. So the same is asked once more without a
version: the server then tells everything that there is, and goes on from there. What was deleted in
between no watch tells any more, so a listing is called for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import kopf

from windlass import log as logs

log = logs.get_logger(__name__)

_GONE = 410
#: Parts of a query that name a place in the history, or in a listing of one moment.
_PLACES = ("resourceVersion", "continue")


@dataclass(frozen=True, kw_only=True, eq=False)
class WatchSession(kopf.AiohttpSession):
    """A session; two are alike if their logins are: a login that was refused is not tried again."""

    login: kopf.ConnectionInfo

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WatchSession) and self.login == other.login

    def __hash__(self) -> int:
        return hash(self.login)


def watch_session(login: kopf.ConnectionInfo, missed: Callable[[], None]) -> WatchSession:
    """Make the session of a login; to be called where the event loop runs.

    Args:
        login: Where the API server is, and who asks.
        missed: Called when events were missed; must not block.
    """

    async def give_up_what_is_gone(
        request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await ask(request)
        if response.status != _GONE or not any(name in request.url.query for name in _PLACES):
            return response
        response.release()
        log.warning("watch_too_old", path=request.url.path)
        request.url = request.url.without_query_params(*_PLACES)
        missed()
        return await ask(request)

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=login.as_ssl_context()),
        headers=login.as_http_headers(),
        proxy=login.proxy_url,
        trust_env=login.trust_env,
        middlewares=(give_up_what_is_gone,),
    )
    return WatchSession(
        server=login.server,
        priority=login.priority,
        default_namespace=login.default_namespace,
        expiration=login.expiration,
        aiohttp_session=session,
        login=login,
    )
