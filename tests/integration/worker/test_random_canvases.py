"""Any canvas on real Redis and two slots comes to what a plain Python evaluation comes to."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from random_canvases import assert_comes_to, canvas_of, expected, expressions, make_task


def test_workers_agree_with_plain_python(app, start_worker):
    start_worker("-c", "2", tasks="random_canvas_tasks")
    task = make_task(app)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(expr=expressions(size=20))
    def check(expr):
        assert_comes_to(expected(expr), canvas_of(expr, task).apply_async(), timeout_s=30)

    check()


def test_large_workflows_on_one_worker(app, start_worker):
    start_worker("-c", "2", tasks="random_canvas_tasks")
    leaf = make_task(app)
    from windlass import chain, chord

    long = chain(leaf.si(["a", False]) for _ in range(1000)).delay()
    wide = chord((leaf.s([str(n), False]) for n in range(2000)), leaf.si(["body", False])).delay()

    assert long.get(timeout=90) == "a()"
    assert wide.get(timeout=90) == "body()"
    assert wide.parent[1999].get(timeout=10) == "1999()"
