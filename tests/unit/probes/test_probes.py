"""What /livez, /readyz and /metrics answer, over real HTTP on the loopback."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from windlass.metrics import MAX_SERIES, METRICS, OTHER, bounded
from windlass.runtime.probes import (
    LIVE_WITHIN_S,
    READY_WITHIN_S,
    ProbePortTakenError,
    Probes,
    check_alive,
    check_ready,
)
from windlass.runtime.state import TaskCounts, WorkerState

Ask = Callable[..., tuple[int, str]]


def make_state(**changes) -> WorkerState:
    now = time.monotonic()
    facts = {"loop_at": now, "progress_at": now, "started": True, "connected": True}
    return WorkerState(**{**facts, "pool": "prefork", "slots": 2, **changes})


@pytest.fixture
def served() -> Iterator[Callable[[WorkerState], Ask]]:
    running: list[Probes] = []

    def serve(state: WorkerState) -> Ask:
        probes = Probes(lambda: state)
        probes.start()
        running.append(probes)

        def ask(path: str, method: str = "GET") -> tuple[int, str]:
            link = http.client.HTTPConnection(*probes.address, timeout=10)
            link.request(method, path)
            answer = link.getresponse()
            body = answer.read().decode()
            link.close()
            return answer.status, body

        return ask

    yield serve
    for probes in running:
        probes.stop()


def test_worker_that_runs_is_alive_and_ready(served) -> None:
    ask = served(make_state())

    assert ask("/livez") == (200, "ok\n")
    assert ask("/readyz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"started": False}, "starting"),
        ({"draining": True}, "draining"),
        ({"cordoned": True}, "cordoned"),
        ({"progress_at": time.monotonic() - 1e6}, "no answer from the broker"),
    ],
)
def test_worker_that_takes_no_work_is_not_ready_but_alive(served, changes, reason: str) -> None:
    ask = served(make_state(**changes))

    status, body = ask("/readyz")
    assert status == 503
    assert reason in body
    assert ask("/livez")[0] == 200


def test_broker_that_is_away_never_makes_a_worker_dead(served) -> None:
    ask = served(make_state(connected=False, progress_at=time.monotonic() - 1e6))

    assert ask("/livez")[0] == 200


def test_loop_that_hangs_makes_it_dead(served) -> None:
    status, body = served(make_state(loop_at=time.monotonic() - 1e6))("/livez")

    assert status == 503
    assert "did not turn" in body


@pytest.mark.parametrize(
    ("check", "field", "limit"),
    [(check_alive, "loop_at", LIVE_WITHIN_S), (check_ready, "progress_at", READY_WITHIN_S)],
)
def test_limits_are_exact(check, field: str, limit: float) -> None:
    state = make_state(**{field: 1000.0})

    assert check(state, 1000.0 + limit) is None
    assert check(state, 1000.1 + limit) is not None


def test_full_worker_is_ready_as_long_as_the_broker_answers() -> None:
    full = make_state(progress_at=0.0, busy=2)

    assert check_ready(full, 1e6) is None
    full.connected = False
    assert check_ready(full, 1e6) == "no answer from the broker for 1000000 s"


def test_worker_that_never_had_an_answer_says_so() -> None:
    state = make_state(progress_at=WorkerState().progress_at, connected=False)

    assert check_ready(state, 1.0) == "no answer from the broker yet"


def test_other_paths_are_not_found_and_head_has_no_body(served) -> None:
    ask = served(make_state())

    assert ask("/")[0] == 404
    assert ask("/livez", "HEAD") == (200, "")
    assert ask("/livez?verbose=1")[0] == 200


def test_silent_client_does_not_hold_up_the_others(served) -> None:
    state = make_state()
    probes = Probes(lambda: state)
    probes.start()
    with socket.create_connection(probes.address):  # says nothing
        link = http.client.HTTPConnection(*probes.address, timeout=10)
        link.request("GET", "/livez")

        assert link.getresponse().status == 200
        link.close()
        probes.stop()


def test_taken_port_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        probes = Probes(make_state, port=taken.getsockname()[1])

        with pytest.raises(ProbePortTakenError, match=r"Choose another --health-port"):
            probes.start()


def test_stop_frees_the_port_and_may_be_called_twice() -> None:
    probes = Probes(make_state, host="0.0.0.0")
    probes.start()
    port = probes.address[1]
    probes.stop()
    probes.stop()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_it_listens_on_the_loopback_unless_told_otherwise() -> None:
    assert Probes(make_state).address[0] == "127.0.0.1"


def test_metrics_have_the_names_types_and_labels_that_are_declared(served) -> None:
    counts = TaskCounts()
    counts.note("succeeded", 0.003)
    counts.note("failed", 7.0)
    counts.note_unrun("revoked")
    state = make_state(busy=1, fetched_total=3, tasks={("default", "shop.pay"): counts})
    status, text = served(state)("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert status == 200
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert family.type == metric.type
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    ours = {name for name in families if name.startswith("windlass_")}
    assert ours == {metric.name.removesuffix("_total") for metric in METRICS}


def test_counts_and_run_times_are_those_of_the_state(served) -> None:
    counts = TaskCounts()
    for duration_s in (0.0005, 0.003, 7.0, 9999.0):
        counts.note("succeeded", duration_s)
    text = served(make_state(tasks={("default", "shop.pay"): counts}))("/metrics")[1]
    samples = {
        (sample.name, sample.labels.get("le", sample.labels.get("state"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("task") == "shop.pay"
    }

    assert samples["windlass_tasks_total", "succeeded"] == 4
    assert samples["windlass_task_runtime_seconds_bucket", "0.001"] == 1
    assert samples["windlass_task_runtime_seconds_bucket", "10.0"] == 3
    assert samples["windlass_task_runtime_seconds_bucket", "+Inf"] == 4
    assert samples["windlass_task_runtime_seconds_count", None] == 4
    assert samples["windlass_task_runtime_seconds_sum", None] == pytest.approx(10006.0035)


def test_series_are_bounded_and_what_is_over_is_summed() -> None:
    tasks = {}
    for index in range(MAX_SERIES + 5):
        tasks["q", f"task-{index}"] = counts = TaskCounts()
        counts.note("succeeded", 1.0)

    kept = bounded(tasks)

    assert len(kept) == MAX_SERIES + 1
    assert kept[OTHER, OTHER].ended == {"succeeded": 5}
    assert kept[OTHER, OTHER].runtime_s == 5.0
    assert sum(sum(counts.buckets) for counts in kept.values()) == MAX_SERIES + 5
