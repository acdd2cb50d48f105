"""Field types that the setting groups share: durations, names, sizes. Leaf of `settings`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from windlass.errors import ConfigurationError, InvalidQueueName
from windlass.messages import check_queue_name
from windlass.rate_limits import parse_rate
from windlass.serializers import compression, registry


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _names(value: Any) -> Any:
    """Turn what names a list of things into a list of names.

    A comma-separated string (environment), a mapping (its keys), and objects with a `name`
    (kombu's Queue in an old configuration module) all count.
    """
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple | dict | set | frozenset):
        return [item if isinstance(item, str) else getattr(item, "name", item) for item in value]
    return value


def _serializer(value: str) -> str:
    try:
        registry.serializer_named(value)
    except ConfigurationError as error:
        raise ValueError(_unregistered(error)) from error
    return value


def _content_name(value: str) -> str:
    try:
        registry.content_types([value])
    except ConfigurationError as error:
        raise ValueError(_unregistered(error)) from error
    return value


def _unregistered(error: ConfigurationError) -> str:
    return f"{error} (One of your own is registered before: windlass.serializers.register.)"


def _compression(value: str) -> str:
    try:
        return compression.encoding_named(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def _queue_name(value: str) -> str:
    try:
        return check_queue_name(value)
    except InvalidQueueName as error:
        raise ValueError(str(error)) from error


def _rate_text(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _rate_limit(value: str) -> str:
    try:
        parse_rate(value)
    except ConfigurationError:
        msg = "expected a count and a unit: '10/s', '100/m', '5/h'"
        raise ValueError(msg) from None
    return value


Text = Annotated[str, StringConstraints(min_length=1)]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, allow_inf_nan=False),
]
SecondsOrZero = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0, allow_inf_nan=False),
]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
QueueName = Annotated[Text, AfterValidator(_queue_name)]
RateLimit = Annotated[Text, BeforeValidator(_rate_text), AfterValidator(_rate_limit)]
QueueNames = Annotated[tuple[QueueName, ...], BeforeValidator(_names)]
ModuleNames = Annotated[tuple[Text, ...], BeforeValidator(_names)]
Serializer = Annotated[Text, AfterValidator(_serializer)]
Compression = Annotated[Text, AfterValidator(_compression)]
ContentName = Annotated[Text, AfterValidator(_content_name)]
ContentNames = Annotated[frozenset[ContentName], BeforeValidator(_names)]
Priority = Annotated[int, Field(ge=0, le=9)]
Bytes = Annotated[int, Field(ge=1024)]
