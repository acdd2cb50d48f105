"""The chart's Redis: its own start script, run with a real server in a folder of the test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from waiting import eventually
from windlass.control_plane.users import ensure_users
from windlass.embedded_redis import ServerBinary, found_servers
from windlass.errors import BrokerAccessError, OperationalError
from windlass.redis_store.connection import Links
from windlass.redis_store.resp import packed
from windlass_cluster import paths
from windlass_cluster.access import Access

pytestmark = pytest.mark.kube

CHART = paths.TREE / "charts" / "windlass"
_USERS = {"team": ("windlass-team", "hers")}

Start = Callable[[str], "Server"]


def stateful_set(access: Access, chart: Path = CHART) -> dict[str, Any]:
    rendered = access.helm("template", "windlass", str(chart), "--namespace=home")
    objects = yaml.safe_load_all(rendered)
    (found,) = [one for one in objects if one and one["kind"] == "StatefulSet"]
    return dict(found)


class Server:
    """A Redis by the container's own command."""

    def __init__(self, command: list[str], folder: Path, password: str) -> None:
        self._socket, self._password = folder / "s", password
        environment = {"REDIS_PASSWORD": password, "PATH": "/usr/bin:/bin"}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        eventually(lambda: self.lets_in("default", password))

    def links(self, user: str, password: str) -> Links:
        return Links(f"unix://{user}:{password}@{self._socket}")

    def lets_in(self, user: str, password: str) -> bool:
        try:
            self.links(user, password).call([packed("PING")])
        except BrokerAccessError:
            return False
        except OperationalError:  # it is starting
            assert self._process.poll() is None
            return False
        return True

    @property
    def admin(self) -> Links:
        return self.links("default", self._password)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(params=list(found_servers()), ids=lambda binary: binary.label)
def start(request: pytest.FixtureRequest, kube_api: Access, tmp_path: Path) -> Iterator[Start]:
    binary: ServerBinary = request.param
    (container,) = stateful_set(kube_api)["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    assert script.count("exec redis-server -") == script.count("\nEND") == 1
    script = script.replace("/data", str(tmp_path))
    script = script.replace("exec redis-server -", f"exec {binary.path} -")
    script = script.replace("\nEND", f"\nport 0\nunixsocket {tmp_path}/s\nEND")
    started: list[Server] = []

    def run(password: str) -> Server:
        started.append(Server([*container["command"], script], tmp_path, password))
        return started[-1]

    yield run
    for server in started:
        server.kill()


def test_restart_of_redis_locks_no_namespace_out_while_there_is_no_operator(start: Start) -> None:
    server = start("first")
    ensure_users(server.admin, _USERS)
    assert server.lets_in("windlass-team", "hers")
    server.kill()

    server = start("first")

    assert server.lets_in("windlass-team", "hers")
    assert not server.lets_in("windlass-team", "another")
    with pytest.raises(BrokerAccessError, match="refused a command"):
        server.links("windlass-team", "hers").call([packed("CONFIG", "GET", "*")])


def test_operators_password_is_that_of_the_secret_after_each_start(start: Start) -> None:
    server = start("first")
    ensure_users(server.admin, _USERS)
    server.kill()

    server = start("second")

    assert server.lets_in("windlass-team", "hers")
    assert not server.lets_in("default", "first")
    assert not server.lets_in("default", "")


def test_no_password_is_kept_in_clear(start: Start, tmp_path: Path) -> None:
    ensure_users(start("first").admin, _USERS)

    file = tmp_path / "users.acl"
    assert "windlass-team" in file.read_text()
    assert not {"hers", ">first", "first"} & set(file.read_text().split())
    assert file.stat().st_mode & 0o077 == 0


def test_upgrade_of_the_chart_alone_does_not_restart_redis(
    kube_api: Access, tmp_path: Path
) -> None:
    kube_api.helm("package", str(CHART), "--version=99.0.0", "--app-version=99.0.0",
                  f"--destination={tmp_path}")  # fmt: skip

    later = stateful_set(kube_api, tmp_path / "windlass-99.0.0.tgz")

    assert later["metadata"]["labels"]["helm.sh/chart"] == "windlass-99.0.0"
    assert later["spec"] == stateful_set(kube_api)["spec"]
