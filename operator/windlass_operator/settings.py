"""The operator's own settings: environment variables WINDLASS_OPERATOR_*, rendered by the chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from windlass.errors import ConfigurationError

PREFIX = "WINDLASS_OPERATOR_"
#: Characters of a key that nobody guesses.
MIN_SECRET_KEY = 16


class DefaultBrokerKind(StrEnum):
    """What queues without a broker of their own get."""

    #: The chart's Redis: every namespace gets a user of its own on it.
    EMBEDDED = "embedded"
    #: One address with one credential, offered to chosen namespaces only.
    EXTERNAL = "external"
    NONE = "none"


class OperatorSettings(BaseModel):
    """All settings; times in seconds.

    Attributes:
        namespace: Where the operator runs: its Lease, and the default broker's home.
        watch_namespaces: Namespaces it serves; empty for all.
        default_broker_url: Address of the default broker, for the operator itself; with an
            embedded one this user may make users.
        default_broker_url_file: A file that holds it (a mounted Secret); wins.
        default_broker_host: host:port that applications and workers use, if it is another.
        offered_namespaces: Beside its own, namespaces that an external default is offered to.
        offered_labels: Or namespaces that carry these labels.
        secret_key: Key from which users' passwords and credential versions are derived.
        tick_s: Time between looks at the broker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "windlass"
    pod_name: str = "windlass-operator"
    watch_namespaces: tuple[str, ...] = ()
    default_broker_kind: DefaultBrokerKind = DefaultBrokerKind.NONE
    default_broker_url: str = ""
    default_broker_url_file: str = ""
    default_broker_host: str = ""
    offered_namespaces: tuple[str, ...] = ()
    offered_labels: dict[str, str] = Field(default_factory=dict)
    secret_key: str = ""
    tick_s: float = Field(default=5.0, ge=0.5, le=60)
    broker_timeout_s: float = Field(default=4.0, gt=0, le=60)
    lease_name: str = "windlass-operator"
    lease_duration_s: float = 15.0
    lease_renew_s: float = 10.0
    lease_retry_s: float = 2.0
    health_host: str = "0.0.0.0"  # noqa: S104  # in a pod, for the kubelet
    health_port: int = Field(default=8081, ge=0, le=65535)
    image_pull_secrets: tuple[str, ...] = ()
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _usable(self) -> Self:
        is_embedded = self.default_broker_kind is DefaultBrokerKind.EMBEDDED
        if is_embedded and len(self.secret_key) < MIN_SECRET_KEY:
            raise ValueError(
                "an embedded broker needs secret_key with at least "
                f"{MIN_SECRET_KEY} characters: the passwords of all users are derived from it"
            )
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read them.

        Raises:
            ConfigurationError: With a line for each variable that is wrong.
        """
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if name.startswith(PREFIX) and text:
                field = name[len(PREFIX) :].lower()
                values[field] = json.loads(text) if text[:1] in "[{" else text
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [
                f"{PREFIX}{'.'.join(str(p) for p in problem['loc']).upper()}: {problem['msg']}"
                for problem in error.errors()
            ]
            raise ConfigurationError(f"The operator's settings: {'; '.join(lines)}.") from error

    def broker_url(self) -> str:
        """The default broker's address, read from its file each time: it may be rotated."""
        if self.default_broker_url_file:
            return Path(self.default_broker_url_file).read_text(encoding="utf-8").strip()
        return self.default_broker_url
