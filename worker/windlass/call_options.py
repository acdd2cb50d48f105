"""The options of a call: which there are, which are refused, and what their values must be. Pure.

`apply_async`, `send_task`, `send_many`, `Signature.set` and `retry` all take these.
Next in the walk: `windlass.sending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal, TypedDict

from windlass.errors import ConfigurationError, nearest

#: How long a unique call keeps others with its key away, and what becomes of those.
UniqueUntil = Literal["queued", "started", "done"]
OnDuplicate = Literal["return", "reject", "replace"]


class CallOptions(TypedDict, total=False):
    """Options of one call. All may be None, which is the same as leaving them out.

    Attributes:
        countdown: Not before so many seconds from now, by the broker's clock.
        eta: Not before this time; naive means the app's time zone. Excludes countdown.
        expires: Not after so many seconds from now, or this time; then it ends REVOKED.
        retry: Whether to try again when the broker cannot be reached.
        publish_retry: The same; a clearer name, which goes first.
        retry_policy: max_retries, interval_start, interval_step, interval_max (seconds).
        publish_retry_policy: The same; goes first.
        queue: Goes before every route.
        routing_key: Accepted when equal to queue.
        exchange: Accepted when equal to queue.
        priority: 0 to 9, higher is sooner.
        serializer: "json", "msgpack" or "pickle".
        compression: How its body is made smaller above 1 KiB: "zlib" or "zstd".
        headers: Your own, for `self.request.headers`; JSON values.
        time_limit: Hard limit of the run, seconds.
        soft_time_limit: Soft limit of the run, seconds.
        ignore_result: Store no result of this call.
        add_to_parent: Whether the running task records it as a child (default True).
        link: Signature(s) sent with the result.
        link_error: Signature(s) called on failure.
        task_id: Id instead of a random one.
        shadow: Another name for logs.
        reply_to: For the receiver's use.
        correlation_id: For the receiver's use; the id if left out.
        group_id: Group it belongs to.
        group_index: Place in the group.
        root_id: First task of the tree; that of the running task if left out.
        parent_id: Sender; the running task if left out.
        stamps: Stamped headers and their values.
        stamped_headers: Names of the stamped headers.
        unique: Instead of what the task says, as the following; False: nothing of it. See
            `windlass.task_options.TaskOptions`.
        unique_for: Seconds.
        unique_key: A template, names of parameters, or a function.
        on_duplicate: "return", "reject" or "replace".
        debounce: Seconds.
        debounce_max_wait: Seconds.
        throttle: Seconds.
    """

    countdown: float | timedelta | None
    eta: datetime | None
    expires: float | timedelta | datetime | None
    retry: bool | None
    publish_retry: bool | None
    retry_policy: Mapping[str, Any] | None
    publish_retry_policy: Mapping[str, Any] | None
    queue: str | None
    routing_key: str | None
    exchange: str | None
    priority: int | None
    serializer: str | None
    compression: str | None
    headers: Mapping[str, Any] | None
    time_limit: float | None
    soft_time_limit: float | None
    ignore_result: bool | None
    add_to_parent: bool | None
    link: Any  # a signature of any task, or a list of them
    link_error: Any
    task_id: str | None
    shadow: str | None
    reply_to: str | None
    correlation_id: str | None
    group_id: str | None
    group_index: int | None
    root_id: str | None
    parent_id: str | None
    stamps: Mapping[str, Any] | None
    stamped_headers: list[str] | None
    unique: UniqueUntil | bool | None
    unique_for: float | timedelta | None
    unique_key: Any  # windlass.argument_keys.KeySpec
    on_duplicate: OnDuplicate | None
    debounce: float | timedelta | None
    debounce_max_wait: float | timedelta | None
    throttle: float | timedelta | None


KNOWN = frozenset(CallOptions.__annotations__)
#: Those of `windlass.uniqueness`.
UNIQUE = frozenset(
    {
        "unique",
        "unique_for",
        "unique_key",
        "on_duplicate",
        "debounce",
        "debounce_max_wait",
        "throttle",
    }
)

#: Celery's options that ask for something this engine does not have, and what to do about it.
_REFUSED = {
    "chord": "chords come in a later release.",
    "chain": "chains come in a later release; link= calls another task with the result.",
    "producer": "connections are kept by the app; leave it out.",
    "connection": "connections are kept by the app; leave it out.",
    "publisher": "connections are kept by the app; leave it out.",
    "router": "set task_routes instead.",
    "delivery_mode": "every message is as durable as the broker; leave it out.",
    "mandatory": "a queue needs no declaration here; leave it out.",
    "immediate": "leave it out.",
}


def check_known(options: Mapping[str, Any]) -> None:
    """Refuse what is not an option.

    Raises:
        TypeError: An option has no meaning here; the text says what to do.
    """
    if options.keys() <= KNOWN:
        return
    for name in sorted(options.keys() - KNOWN - set(stamp_names(options))):
        hint = _REFUSED.get(name)
        if hint is None:
            text = f"{name!r} is not an option of a call.{nearest(name, KNOWN)}"
            raise TypeError(text)
        if options[name] is not None:
            text = f"The option {name!r} has no meaning here: {hint}"
            raise TypeError(text)


def stamp_names(options: Mapping[str, Any]) -> list[str]:
    """Return the names of options that are stamps: those that stamped_headers lists."""
    return options.get("stamped_headers") or []


def stamps_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stamps of a call: given as a dict, or as options that stamped_headers lists."""
    stamps = dict(options.get("stamps") or {})
    stamps.update((name, options[name]) for name in stamp_names(options) if name in options)
    return stamps


def check_address(options: Mapping[str, Any]) -> None:
    """Refuse exchange and routing_key where they would be silently lost.

    Raises:
        ConfigurationError: They ask for something else than the queue already says.
    """
    for name in ("exchange", "routing_key"):
        value = options.get(name)
        if value and value != options.get("queue"):
            text = (
                f"{name}={value!r} cannot be honoured: there are queues here, and no exchanges "
                f"that bind them. Expected the queue's name, as queue={value!r}."
            )
            raise ConfigurationError(text)


def seconds(name: str, value: object) -> float:
    """Return a duration in seconds.

    Raises:
        TypeError: It is neither a number nor a timedelta.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = f"{name} must be seconds (a number or a timedelta), got {value!r}."
        raise TypeError(text)
    return float(value)


def absolute_ms(name: str, value: object, zone: tzinfo) -> int:
    """Return a time in milliseconds since the epoch; a naive one is in the given zone.

    Raises:
        TypeError: It is not a datetime.
    """
    if isinstance(value, str):  # as JSON carries it, in a signature that was sent
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        text = f"{name} must be a datetime, got {value!r}."
        raise TypeError(text)
    aware = value if value.tzinfo is not None else value.replace(tzinfo=zone)
    return round(aware.timestamp() * 1000)


def check_priority(value: object) -> int:
    """Return a priority unchanged.

    Raises:
        ValueError: It is not an integer from 0 to 9.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9:
        text = f"priority must be an integer from 0 to 9 (higher is sooner), got {value!r}."
        raise ValueError(text)
    return value
