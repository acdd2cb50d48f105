"""Messages that a continuation releases, sealed: its parts are sealed one by one, see `places`."""

from __future__ import annotations

import msgspec

from windlass import messages
from windlass.continuations import FAIL_TASK, Hole, Release
from windlass.released import failing_headers
from windlass.sealing import places
from windlass.sealing.places import SEALED_MARKERS, Rest
from windlass.sealing.seals import Seals


def sealed_release(seals: Seals, source: str, release: Release, body: bytes, hole: Hole) -> Release:
    """Return a release with all of it sealed that the broker puts together.

    Args:
        seals: What signs and encrypts.
        source: The continuation that releases it.
        release: As `windlass.released.make_release` built it; its headers say how it is sealed.
        body: `[args, kwargs, embed]`, encoded.
        hole: How it takes the values.
    """
    head = messages.encode_head(release.address, release.headers)
    fail_address = messages.address(release.queue, FAIL_TASK)
    failing_head = messages.encode_head(fail_address, failing_headers(release))
    errbacks = places.seal_errbacks(seals, release.id, failing_head, release.errbacks)
    if not release.takes:
        sealed = places.seal_body(seals, release.id, head, body)
        return msgspec.structs.replace(release, before=sealed, errbacks=errbacks)
    rest = Rest(source, hole.takes, hole.need, release.takes, body)
    before, between, after = places.joined_parts(seals, release.id, head, rest)
    return msgspec.structs.replace(
        release,
        before=before,
        between=between,
        after=after,
        takes=SEALED_MARKERS[release.takes],
        errbacks=errbacks,
    )
