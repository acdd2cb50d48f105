"""`windlass up` as a user runs it: real workers, a real Redis, signals and mistakes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest

from commands import Project, environment
from local_up import Up
from waiting import eventually
from windlass import Windlass
from windlass.control_plane.depth import read_depths
from windlass.control_plane.schedules import read_schedules
from windlass.errors import OperationalError


def test_workers_come_with_the_work_and_go_after_it(up: Up, temporary: Path) -> None:
    assert up.workers() == []
    ids = up.send(*((number, 0.05) for number in range(60)))
    assert up.results(ids) == list(range(60))
    up.says(r"2 wanted, 2 there")
    up.says(r"(?s)ScaledToZero.*0 wanted, 0 there")

    assert up.workers() == []
    everything = up.tree()
    up.running.signal(signal.SIGINT)
    assert up.running.wait() == 0
    assert "All workers have ended. 60 tasks done." in up.output()
    assert list(temporary.iterdir()) == []
    eventually(lambda: not any(process.is_running() for process in everything))


def test_interrupt_lets_workers_finish_what_they_run(up: Up) -> None:
    up.send((1, 2.0))
    eventually((up.project.folder / "began-1").exists, 40)
    everything = up.tree()
    up.running.signal(signal.SIGINT)

    assert up.running.wait() == 0
    assert "Draining: 1 worker(s) finish what they run." in up.output()
    assert "All workers have ended. 1 tasks done." in up.output()
    eventually(lambda: not any(process.is_running() for process in everything))


def test_killed_worker_is_replaced_and_its_tasks_are_done(up: Up) -> None:
    ids = up.send(*((number, 0.3) for number in range(12)))
    eventually((up.project.folder / "began-0").exists, 40)
    (victim, *_) = up.workers()
    name = next(word for word in victim.cmdline() if word.startswith("--hostname="))
    victim.kill()

    assert up.results(ids) == list(range(12))
    replaced = eventually(lambda: [w for w in up.workers() if name in w.cmdline()])
    assert replaced[0].pid != victim.pid


def test_second_interrupt_ends_at_once_and_hands_back(
    project: Project, redis_url: str, temporary: Path
) -> None:
    running = project.start("up", "queue.yaml", "--plain", "-b", redis_url)
    app = Windlass("client", broker=redis_url, set_as_current=False)
    app.send_task("shop.send", (1, 600), queue="emails")
    eventually((project.folder / "began-1").exists, 40)
    tree = psutil.Process(running.process.pid).children(recursive=True)
    running.signal(signal.SIGINT)
    running.says("Draining: 1 worker(s)")
    running.signal(signal.SIGINT)

    assert running.wait() == 130
    assert "1 not done, on the broker still." in running.output()
    (depth,) = read_depths(app.broker, ["emails"])
    app.close()
    assert (depth.open, depth.leased, depth.dead) == (1, 0, 0)
    eventually(lambda: not any(process.is_running() for process in tree))


def test_app_that_cannot_be_imported_is_said_with_its_error(project: Project) -> None:
    project.write("shop.py", "import nothing_of_that_name\n")
    project.write("queue.yaml", (project.folder / "queue.yaml").read_text().replace(
        "autoscaling:", "replicas: 1\n  removed:").split("  removed:")[0])  # fmt: skip
    running = project.start("up", ".", "--plain")
    running.says("WorkersCrashLooping")

    assert "No module named 'nothing_of_that_name'" in running.output()
    running.signal(signal.SIGTERM)
    assert running.wait() == 0


def test_bad_files_end_it_with_all_that_is_wrong(project: Project) -> None:
    project.write("worse.yaml", "kind: TaskQueue\n")
    text = (project.folder / "queue.yaml").read_text().replace("concurrency: 2", "concurency: 2")
    project.write("queue.yaml", text)
    done = project.run("up", ".", "--plain")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: Nothing was started: there are 2 problems in the files.")
    assert "queue.yaml:13: WorkerPool: spec.concurency is not a field." in done.stderr
    assert "worse.yaml:1: document 1 has no apiVersion." in done.stderr


def test_app_that_is_nowhere_is_named_before_anything_starts(project: Project) -> None:
    (project.folder / "shop.py").unlink()
    done = project.run("up", "queue.yaml", "--plain")

    assert done.returncode == 1
    assert "queue.yaml:6: WorkerPool: spec.app: there is no module 'shop'" in done.stderr


def test_broker_in_a_secret_needs_another_one_named(project: Project, redis_url: str) -> None:
    text = (project.folder / "queue.yaml").read_text()
    secret = "spec: {broker: {secretKeyRef: {name: my-broker}}}"
    project.write("queue.yaml", text.replace("spec: {drainTarget: 1s}", secret))
    done = project.run("up", ".", "--plain")

    assert done.returncode == 1
    assert "queue.yaml:1: spec.broker.secretKeyRef names a Secret" in done.stderr
    assert "WINDLASS_BROKER_URL" in done.stderr

    running = project.start("up", ".", "--plain", env={"WINDLASS_BROKER_URL": redis_url})
    running.says("0 wanted, 0 there")
    running.signal(signal.SIGINT)
    assert running.wait() == 0


def test_address_in_the_file_is_used_and_no_redis_started(
    project: Project, redis_url: str, temporary: Path
) -> None:
    text = (project.folder / "queue.yaml").read_text()
    broker = f"spec: {{broker: {{url: '{redis_url}'}}}}"
    project.write("queue.yaml", text.replace("spec: {drainTarget: 1s}", broker))
    running = project.start("up", ".", "--plain", env={"TMPDIR": str(temporary)})
    app = Windlass("client", broker=redis_url, backend=redis_url, set_as_current=False)
    result = app.send_task("shop.send", (5,), queue="emails")

    assert result.get(timeout=40) == 5
    assert list(temporary.iterdir()) == []
    app.close()
    running.signal(signal.SIGINT)
    assert running.wait() == 0


def test_without_the_extra_it_says_what_to_install(project: Project) -> None:
    project.write("yaml.py", "raise ModuleNotFoundError('no yaml', name='yaml')")
    done = project.run("up", ".", env={"PYTHONPATH": str(project.folder)})

    assert done.returncode == 1
    assert "pip install 'windlass[local]'" in done.stderr


def test_on_a_terminal_it_draws_a_table_and_ctrl_c_drains(project: Project) -> None:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "windlass", "up", "."],
        cwd=project.folder,
        env=environment(TERM="xterm-256color"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=lambda: os.login_tty(terminal),
    )
    os.close(terminal)
    screen, interrupted = "", False
    with contextlib.suppress(OSError):  # the terminal of a process that is over
        while chunk := os.read(controller, 65536):
            screen += chunk.decode(errors="replace")
            if not interrupted and re.search("POOL.*emails", screen, re.DOTALL):
                interrupted = os.write(controller, b"\x03") == 1
    os.close(controller)

    assert process.wait(30) == 0, screen
    for words in ("QUEUE", "WAITING", "POOL", "WANTED", "Ending; no worker runs."):
        assert words in screen
    assert "Traceback" not in screen


def test_reader_that_goes_away_ends_it(project: Project) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "windlass", "up", ".", "--plain"],
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    address = next(line for line in process.stdout if "WINDLASS_BROKER_URL" in line)
    process.stdout.close()
    app = Windlass("client", broker=address.rpartition("=")[2].strip(), set_as_current=False)
    with contextlib.suppress(OperationalError):  # it may be over already
        app.send_task("shop.send", (1,), queue="emails")
    app.close()

    assert process.wait(60) == 0
    with process.stderr:
        assert process.stderr.read() == ""


def test_namespace_is_said_with_the_address(project: Project, redis_url: str) -> None:
    text = (project.folder / "queue.yaml").read_text()
    project.write("queue.yaml", text.replace("{name: emails}\n", "{name: emails, namespace: eu}\n"))
    running = project.start("up", ".", "--plain", "-b", redis_url)
    running.says("export WINDLASS_KEYSPACE=eu")
    app = Windlass(
        "client", broker=redis_url, backend=redis_url, keyspace="eu", set_as_current=False
    )
    assert app.send_task("shop.send", (5,), queue="emails").get(timeout=40) == 5
    app.close()
    running.signal(signal.SIGINT)
    assert running.wait() == 0


@pytest.mark.parametrize("arguments", [("up",), ("up", "--help")], ids=["nothing", "help"])
def test_usage_is_said(project: Project, arguments: tuple[str, ...]) -> None:
    done = project.run(*arguments)

    assert "FILE|DIR..." in done.stdout + done.stderr
    assert done.returncode == (0 if "--help" in arguments else 2)


def test_broker_that_is_not_there_is_said_and_waited_for(project: Project) -> None:
    running = project.start("up", ".", "--plain", "-b", "redis://127.0.0.1:1/0")
    running.says("BrokerUnreachable")
    running.signal(signal.SIGINT)

    assert running.wait() == 0
    assert "Traceback" not in running.output()


def test_schedules_are_fired_while_it_runs(
    project: Project, redis_url: str, temporary: Path
) -> None:
    (project.folder / "beat.yaml").write_text(
        "apiVersion: windlass.dev/v1alpha1\n"
        "kind: BeatSchedule\n"
        "metadata: {name: each-second}\n"
        "spec: {every: 1s, maxRuns: 3, catchUp: All, task: shop.send, args: [7], "
        "queueRef: {name: emails}}\n"
    )
    running = project.start("up", "queue.yaml", "beat.yaml", "--plain", "-b", redis_url)
    app = Windlass("client", broker=redis_url, set_as_current=False)

    def is_over() -> bool:
        found = read_schedules(app.broker, ["each-second"])
        return bool(found) and (found[0].fired, len(found[0].active)) == (3, 0)

    eventually(is_over, 60)
    running.signal(signal.SIGINT)
    assert running.wait() == 0
    marks = (project.folder / "began-7").read_text().splitlines()
    assert len(marks) == 3


def test_task_that_no_worker_knows_is_told_and_does_not_keep_workers(up: Up) -> None:
    """Started for the message, kept until what is parked was looked at, and not started again."""
    up.app.send_task("shop.not_there", queue="emails")
    up.says(r"NoCapableWorker: 1 message\(s\) are of tasks that no worker knows: shop.not_there")
    up.says(r"(?s)ScaledToZero.*0 wanted, 0 there")

    assert up.app.broker is not None
    assert read_depths(up.app.broker, ["emails"])[0].parked == 1
    assert up.workers() == []
    assert up.output().count("ScaledUp: 0 -> 1") == 1
