"""`worker --watch`, flags of the application's own, and what the application is told."""

from __future__ import annotations

import os
import signal

import pytest

from commands import Project
from windlass import Windlass
from windlass.cli.user_options import _value_of
from windlass.cli.watching import changed, snapshot

HOOKED = """
    import time
    from click import Option
    from windlass import Windlass, signals

    app = Windlass("hooked", backend="redis://")
    app.user_options["worker"].add(Option(("--tenant",), default="nobody", help="Whose tasks."))
    app.user_options["preload"].add(Option(("--stage",), help="Where."))

    def say(name, **facts):
        with open("said.txt", "a") as file:
            file.write(f"{name} {' '.join(str(fact) for fact in facts.values())}\\n")

    @signals.user_preload_options.connect
    def preload(options, **_): say("preload", stage=options["stage"])

    @signals.celeryd_init.connect
    def init(sender, conf, options, **_): say("init", node=sender, tenant=options["tenant"])

    @signals.celeryd_after_setup.connect
    def after(sender, instance, **_): say("after_setup", tasks=len(instance.tasks))

    @signals.worker_init.connect
    def starts(sender, **_): say("worker_init", node=sender.hostname)

    @signals.worker_ready.connect
    def ready(sender, **_): say("worker_ready", app=sender.app.main)

    @signals.worker_process_init.connect
    def process(**_): say("process_init")

    @signals.worker_process_shutdown.connect
    def process_ends(pid, exitcode, **_): say("process_shutdown", exitcode=exitcode)

    @signals.worker_shutting_down.connect
    def stopping(sender, sig, how, **_): say("shutting_down", sig=sig, how=how)

    @signals.worker_shutdown.connect
    def ends(sender, **_): say("worker_shutdown")

    @signals.after_setup_logger.connect
    def logs(logger, loglevel, **_): say("logger", level=loglevel)

    @app.task
    def nothing(): pass
"""


def test_application_is_told_of_each_stage_of_its_worker(shop: Project) -> None:
    shop.write("hooked.py", HOOKED)
    flags = ("--tenant", "acme", "-A", "hooked", "--stage=test", "-n", "w@h", "-c1", "-l", "INFO")
    worker = shop.start("worker", *flags)
    worker.says("worker_started")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0

    said = (shop.folder / "said.txt").read_text().splitlines()
    assert sorted(said) == sorted(
        [
            "preload test", "init w@h acme", "logger INFO", "after_setup 1", "worker_init w@h",
            "process_init ", "worker_ready hooked", "shutting_down SIGTERM Warm",
            "process_shutdown 0", "worker_shutdown ",
        ]
    )  # fmt: skip
    assert said[:5] == [
        "preload test", "init w@h acme", "logger INFO", "after_setup 1", "worker_init w@h",
    ]  # fmt: skip


def test_own_flags_are_in_the_help_and_their_defaults_count(shop: Project) -> None:
    shop.write("hooked.py", HOOKED)
    assert "--tenant TEXT" in shop.run("-A", "hooked", "worker", "--help").stdout
    assert "--tenant" not in shop.run("-A", "shop", "worker", "--help").stdout
    assert "No such option" in shop.run("worker", "-A", "shop", "--tenant", "x").stderr

    worker = shop.start("-A", "hooked", "worker", "-c1", "-n", "w@h", "-l", "INFO")
    worker.says("worker_started")
    assert "init w@h nobody" in (shop.folder / "said.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["-A", "shop"], "shop"),
        (["-c", "1", "-Ashop"], "shop"),
        (["--app=shop.tasks:app"], "shop.tasks:app"),
        (["--app", "shop"], "shop"),
        (["--all", "-A"], None),
        ([], None),
    ],
)
def test_app_is_found_before_the_line_is_parsed(arguments: list[str], value: str | None) -> None:
    assert _value_of(("-A", "--app"), arguments) == value


def test_receiver_of_setup_logging_takes_it_over(shop: Project) -> None:
    text = """
        import logging
        from windlass import Windlass, signals
        app = Windlass("quiet")

        @signals.setup_logging.connect
        def mine(loglevel, **_):
            logging.basicConfig(format="MINE %(message)s", level=loglevel, force=True)
    """
    shop.write("quiet.py", text)
    worker = shop.start("worker", "-A", "quiet", "-c1", "-l", "INFO")

    assert "MINE worker_started" in worker.says("worker_started")


def test_watched_worker_drains_and_starts_again_with_the_new_code(shop: Project) -> None:
    code = """
        import time
        from pathlib import Path
        from windlass import Windlass
        app = Windlass("live", backend="redis://")

        @app.task
        def version(): return {version}

        @app.task
        def slow():
            Path("began").touch()
            while not Path("go").exists(): time.sleep(0.003)
            return "whole"
    """
    shop.write("live.py", code.format(version=1))
    with Windlass("c", broker=shop.broker, backend=shop.broker, set_as_current=False) as client:
        worker = shop.start("worker", "--watch", "-A", "live", "-c1", "-l", "INFO", "-n", "w@h")
        assert client.send_task("live.version").get(timeout=30) == 1
        slow = client.send_task("live.slow")
        shop.write("broken.py", "1/0")  # not imported: it starts again all the same
        worker.says("broken.py changed")
        (shop.folder / "go").touch()
        assert slow.get(timeout=30) == "whole"

        shop.write("live.py", "oops")
        worker.says("waiting for a change")
        shop.write("live.py", code.format(version=2))
        assert client.send_task("live.version").get(timeout=30) == 2
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0


def test_changes_are_new_gone_and_written_files_of_ones_own(tmp_path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    for folder in (".hidden", "node_modules", "__pycache__", "sub"):
        (tmp_path / folder).mkdir()
    before = snapshot(tmp_path)
    for folder in ("env", ".hidden", "node_modules", "__pycache__"):
        (tmp_path / folder / "x.py").touch()
    (tmp_path / "data.txt").touch()
    assert changed(before, snapshot(tmp_path)) == []

    (tmp_path / "sub" / "b.py").touch()
    os.utime(tmp_path / "a.py", ns=(1, 1))
    seen = snapshot(tmp_path)
    assert changed(before, seen) == [str(tmp_path / "a.py"), str(tmp_path / "sub" / "b.py")]
    (tmp_path / "a.py").unlink()
    assert changed(seen, snapshot(tmp_path)) == [str(tmp_path / "a.py")]
