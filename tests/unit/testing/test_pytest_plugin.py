"""The pytest plugin, used by small test suites of its own that run in this process."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ["pytester"]

TASKS = """
    from windlass import shared_task

    @shared_task
    def add(x, y):
        return x + y
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run the suite; modules that it imports are forgotten afterwards."""
    without = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:hypothesispytest")
    plugins = ("-p", "windlass.contrib.pytest", *without, "--assert=plain")
    before = set(sys.modules)
    try:
        return pytester.runpytest_inprocess(*plugins, "--strict-markers", *args)
    finally:
        for name in ("shop_tasks", "conftest"):
            if name not in before:
                sys.modules.pop(name, None)


@pytest.mark.parametrize("prefix", ["windlass", "celery"])
def test_a_suite_runs_its_tasks_in_a_worker(pytester: pytest.Pytester, prefix: str) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(shop_tasks=TASKS)
    pytester.makeconftest(
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def {prefix}_includes():
            return ["shop_tasks"]

        @pytest.fixture(scope="session")
        def {prefix}_config():
            return {{"task_default_queue": "jobs", "result_expires": 60}}

        @pytest.fixture(scope="session")
        def {prefix}_worker_parameters():
            return {{"hostname": "mine@here"}}
        """
    )
    pytester.makepyfile(
        f"""
        import pytest

        def test_a_call({prefix}_app, {prefix}_worker):
            from shop_tasks import add
            assert {prefix}_worker.queues == ("jobs",)
            assert {prefix}_worker.hostname == "mine@here"
            assert add.delay(1, 2).get(timeout=20) == 3

        @pytest.mark.{prefix}(task_default_queue="other")
        def test_settings_of_one_test({prefix}_app, {prefix}_worker):
            assert {prefix}_worker.queues == ("other",)
            assert {prefix}_app.conf.result_expires == 60

        def test_an_app_of_its_own_for_each_test({prefix}_app):
            assert {prefix}_app.conf.task_default_queue == "jobs"
        """
    )

    run(pytester).assert_outcomes(passed=3)


@pytest.mark.parametrize("prefix", ["windlass", "celery"])
def test_one_worker_serves_a_whole_session(pytester: pytest.Pytester, prefix: str) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(shop_tasks=TASKS)
    pytester.makeconftest(
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def {prefix}_includes():
            return ["shop_tasks"]
        """
    )
    pytester.makepyfile(
        f"""
        import pytest

        workers = []

        @pytest.mark.parametrize("n", range(3))
        def test_calls({prefix}_session_app, {prefix}_session_worker, n):
            result = {prefix}_session_app.send_task("shop_tasks.add", [n, n])
            assert result.get(timeout=20) == 2 * n
            workers.append({prefix}_session_worker)
            assert len(set(map(id, workers))) == 1
        """
    )

    run(pytester).assert_outcomes(passed=3)


def test_tasks_declared_on_the_app_of_the_test_run_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_a_task_of_the_test(windlass_app, windlass_worker):
            @windlass_app.task
            def mul(x, y):
                return x * y

            assert mul.delay(4, 4).get(timeout=20) == 16

        def test_the_current_app(windlass_app, depends_on_current_app):
            from windlass import current_app
            assert current_app() is windlass_app
        """
    )

    run(pytester).assert_outcomes(passed=2)


def test_a_failing_call_fails_its_test_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_broken(windlass_app, windlass_worker):
            @windlass_app.task
            def broken():
                raise KeyError("lost")

            broken.delay().get(timeout=20)

        def test_next(windlass_app, windlass_worker):
            pass
        """
    )

    result = run(pytester)

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*KeyError: 'lost'*"])


def test_celerys_names_are_left_to_a_plugin_of_celerys_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        pytest_celery="import pytest\n@pytest.fixture\ndef celery_app(): return 5\n"
    )
    pytester.makepyfile("def test_whose(celery_app):\n    assert celery_app == 5\n")
    pytester.syspathinsert()

    run(pytester, "-p", "pytest_celery").assert_outcomes(passed=1)


def test_the_markers_are_explained(pytester: pytest.Pytester) -> None:
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.windlass(?*settings): *"])
