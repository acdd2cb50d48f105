"""Metrics of queues: what is set aside, by queue and reason."""

from __future__ import annotations

from prometheus_client import generate_latest

from operator_builders import make_depth, make_view
from windlass.control_plane.set_aside import SetAside
from windlass_operator.metrics import Metrics


def series(metrics: Metrics) -> list[str]:
    text = generate_latest(metrics.registry).decode()
    return sorted(line for line in text.splitlines() if line.startswith("windlass_queue_"))


def test_what_is_set_aside_is_shown_by_queue_and_reason() -> None:
    metrics = Metrics()
    aside = SetAside(dead=5, reasons={"max_deliveries": 3, "rejected": 2})
    metrics.queues.views = {
        ("shop", "mail"): make_view("mail", depth=make_depth(parked=4, blocked=6, dead=5),
                                    aside=aside),
    }  # fmt: skip

    assert series(metrics) == [
        'windlass_queue_blocked_messages{namespace="shop",queue="mail"} 6.0',
        'windlass_queue_dead_letters{namespace="shop",queue="mail",reason="max_deliveries"} 3.0',
        'windlass_queue_dead_letters{namespace="shop",queue="mail",reason="rejected"} 2.0',
        'windlass_queue_parked_messages{namespace="shop",queue="mail"} 4.0',
    ]


def test_queues_that_cannot_be_read_or_are_gone_have_no_series() -> None:
    metrics = Metrics()
    stale = SetAside(dead=5, reasons={"rejected": 5})
    metrics.queues.views = {
        ("shop", "unread"): make_view("unread", depth=None),
        ("shop", "twin"): make_view("twin", conflict="older"),
        ("shop", "emptied"): make_view("emptied", depth=make_depth(dead=0), aside=stale),
    }

    assert not [line for line in series(metrics) if "twin" in line or "unread" in line]
    assert not [line for line in series(metrics) if "dead_letters" in line]
    metrics.queues.views = {}
    assert series(metrics) == []
