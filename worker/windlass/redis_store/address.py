"""Where a Redis is and how to speak to it: a url and connection options, read and checked once.

Both are spelled as in redis-py, so that addresses and `broker_transport_options` can be kept.
Next in the walk: `windlass.redis_store.wire`, which connects.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from windlass.errors import ConfigurationError, nearest
from windlass.log import scrub

if TYPE_CHECKING:
    import ssl

_SCHEMES = ("redis", "rediss", "unix")
_FALSE = ("0", "f", "false", "n", "no", "")
#: Options of redis-py that say how its client behaves; this one does that in its own way.
_WITHOUT_EFFECT = frozenset((
    "connection_class", "decode_responses", "driver_info", "encoding", "encoding_errors",
    "health_check_interval", "lib_name", "lib_version", "max_connections", "parser_class",
    "protocol", "retry", "retry_on_error", "retry_on_timeout", "single_connection_client",
    "socket_read_size", "timeout",
))  # fmt: skip


def _switch(value: Any) -> bool:
    return str(value).lower() not in _FALSE


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the server is known to be the right one; names as redis-py's, less `ssl_`."""

    keyfile: str | None = None
    certfile: str | None = None
    password: str | None = field(default=None, repr=False)
    cert_reqs: Any = "required"
    ca_certs: str | None = None
    ca_path: str | None = None
    ca_data: str | bytes | None = None
    check_hostname: Any = True
    min_version: Any = None
    ciphers: str | None = None
    include_verify_flags: Any = ()
    exclude_verify_flags: Any = ()

    def context(self) -> ssl.SSLContext:
        """Build what wraps a socket.

        Raises:
            OSError: A file cannot be read, or holds something else.
            ValueError: An option has a value that there is not.
        """
        import ssl  # noqa: PLC0415 - 2 MB that a worker without TLS has no use for

        context = ssl.create_default_context()
        reqs = "none" if self.cert_reqs is None else self.cert_reqs
        if isinstance(reqs, str):  # Celery has the ssl module's names: CERT_REQUIRED
            reqs = ssl.VerifyMode[f"CERT_{reqs.upper().removeprefix('CERT_')}"]
        mode = ssl.VerifyMode(reqs)
        context.check_hostname = _switch(self.check_hostname) and mode != ssl.CERT_NONE
        context.verify_mode = mode
        for flag in _flags(self.include_verify_flags, ssl.VerifyFlags):
            context.verify_flags |= flag
        for flag in _flags(self.exclude_verify_flags, ssl.VerifyFlags):
            context.verify_flags &= ~flag
        if self.certfile or self.keyfile:
            with _named("client certificate", self.certfile, self.keyfile):
                context.load_cert_chain(self.certfile or "", self.keyfile, self.password)
        if self.ca_certs or self.ca_path or self.ca_data:
            with _named("certificate authority", self.ca_certs, self.ca_path):
                context.load_verify_locations(self.ca_certs, self.ca_path, self.ca_data)
        if self.min_version is not None:
            context.minimum_version = ssl.TLSVersion(int(self.min_version))
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        return context


@contextmanager
def _named(what: str, *paths: str | None) -> Iterator[None]:
    """Name the files in an error of the ssl module, which does not."""
    try:
        yield
    except OSError as error:
        files = " and ".join(filter(None, paths))
        raise OSError(f"the {what} ({files}) cannot be used: {error.strerror or error}") from error


def _flags(given: Any, kinds: Any) -> list[Any]:
    if isinstance(given, str):  # of a url: [NAME,NAME]
        given = [name.strip() for name in given.strip("[]").split(",") if name.strip()]
    return [kinds[flag] if isinstance(flag, str) else flag for flag in given]


def _keepalive() -> dict[int, int]:
    """A peer that is gone without a word is noticed within 45 s; the kernel's default is 2 h."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    return {getattr(socket, k): v for k, v in wanted.items() if hasattr(socket, k)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One Redis database. Times in seconds; None waits for ever.

    Attributes:
        url: As it was given.
        host: Name or number; not of a unix socket.
        port: Of the host.
        path: Of a unix socket, else None.
        db: Number of the database.
        username: For AUTH, if there is a password.
        password: For AUTH.
        username_file: Holds the user's name; read at each connect.
        password_file: The same for the password.
        credential_provider: Instead of them: has get_credentials(), asked at each connect.
        client_name: For CLIENT SETNAME.
        socket_timeout: A server that does not answer for so long has failed.
        socket_connect_timeout: The same while connecting.
        socket_keepalive: Whether TCP looks if a silent peer is alive.
        socket_keepalive_options: By socket option: value.
        tls: How to encrypt, None: not at all.
    """

    url: str
    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    username_file: str | None = None
    password_file: str | None = None
    credential_provider: Any = None
    client_name: str | None = None
    socket_timeout: float | None = 30.0
    socket_connect_timeout: float | None = 5.0
    socket_keepalive: bool = True
    socket_keepalive_options: Mapping[int, int] = field(default_factory=_keepalive)
    tls: Tls | None = None

    def credentials(self) -> tuple[str, ...]:
        """Return the arguments of AUTH; none: it is not needed.

        Raises:
            OSError: A file cannot be read.
        """
        if self.credential_provider is not None:
            return tuple(self.credential_provider.get_credentials())
        username, password = self.username, self.password
        if self.has_files:
            # Here, since few addresses have any.
            from windlass.redis_store.credentials import read_credential  # noqa: PLC0415

            username = read_credential(self.username_file) if self.username_file else username
            password = read_credential(self.password_file) if self.password_file else password
        if not password:
            return ()
        return (username, password) if username else (password,)

    @property
    def has_files(self) -> bool:
        """Whether credentials are read from files, so that they may be others next time."""
        return bool(self.username_file or self.password_file)


_READ: dict[str, Callable[[Any], Any]] = {
    "host": str, "port": int, "path": _text, "db": int, "username": _text, "password": _text,
    "username_file": _text, "password_file": _text,
    "credential_provider": _as_it_is, "client_name": _text, "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds, "socket_keepalive": _switch,
    "socket_keepalive_options": dict,
}  # fmt: skip
_TLS_NAMES = frozenset(f"ssl_{each.name}" for each in fields(Tls))
_KNOWN = _TLS_NAMES | _WITHOUT_EFFECT | _READ.keys()


def safe_url(url: str) -> str:
    """Return the url without its passwords, for messages and logs."""
    return scrub(url)


def read_address(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """Read a url and what else is to be said about the connection; the url wins.

    Args:
        url: redis://[user:password@]host[:port][/db], rediss:// (TLS) or unix://path, with further
            options as its query.
        options: By redis-py's names.

    Raises:
        ConfigurationError: It cannot be read, or an option is unknown or ill-typed.
    """
    try:
        parts = urlsplit(url)
        given = {**(options or {}), **_of_url(parts)}
    except ValueError as error:
        raise ConfigurationError(
            f"broker_url {safe_url(url)!r} is not usable: {error}. Expected "
            "redis://[user:password@]host[:port]/db, rediss://… for TLS, or unix://path."
        ) from error
    tls = {n.removeprefix("ssl_"): value for n, value in given.items() if n in _TLS_NAMES}
    if tls and parts.scheme != "rediss":
        raise ConfigurationError(
            f"Connection option ssl_{min(tls)} is given, and {safe_url(url)!r} does not speak TLS. "
            "Expected a rediss:// address, or the setting broker_use_ssl."
        )
    known = {name: _value(name, value) for name, value in given.items() if _is_known(name)}
    return Address(url=url, tls=Tls(**tls) if parts.scheme == "rediss" else None, **known)


def _of_url(parts: SplitResult) -> dict[str, Any]:
    if parts.scheme not in _SCHEMES:
        raise ValueError("its scheme is none of redis://, rediss:// and unix://")
    found: dict[str, Any] = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "virtual_host" in found:  # Celery's name for it
        found["db"] = found.pop("virtual_host")
    if parts.username:
        found["username"] = unquote(parts.username)
    if parts.password:
        found["password"] = unquote(parts.password)
    path = unquote(parts.path)
    if parts.scheme == "unix":
        return {**found, "path": path}
    if parts.hostname:
        found["host"] = unquote(parts.hostname)
    if parts.port:
        found["port"] = parts.port
    if "db" not in found and path.strip("/").isdecimal():
        found["db"] = int(path.strip("/"))
    return found


def _is_known(name: str) -> bool:
    """Whether an option is one of the address' own.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if name in _KNOWN:
        return name in _READ
    raise ConfigurationError(
        f"Connection option {name!r} of broker_url or broker_transport_options is unknown."
        f"{nearest(name, _KNOWN)} Expected one of: {', '.join(sorted(_KNOWN - _WITHOUT_EFFECT))}."
    )


def _value(name: str, value: Any) -> Any:
    try:
        return _READ[name](value)
    except (TypeError, ValueError) as error:
        shown = "a secret" if "password" in name else repr(value)
        raise ConfigurationError(
            f"Connection option {name!r} of broker_url or broker_transport_options is {shown}: "
            f"{error}."
        ) from error
