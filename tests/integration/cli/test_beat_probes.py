"""/livez and /readyz of `windlass beat`, as a process, on a real Redis."""

from __future__ import annotations

import http.client
import json
import signal

from commands import Project, Running
from waiting import eventually

JSON = {"WINDLASS_LOG_STYLE": "json"}


def ask(beat: Running, path: str) -> tuple[int, str]:
    beat.says("probes_started")
    lines = [line for line in beat.output().splitlines() if '"probes_started"' in line]
    found = json.loads(lines[0])
    link = http.client.HTTPConnection(found["host"], found["port"], timeout=20)
    try:
        link.request("GET", path)
        response = link.getresponse()
        return response.status, response.read().decode()
    finally:
        link.close()


def test_beat_is_ready_while_the_broker_answers_whether_it_leads_or_not(shop: Project) -> None:
    line = ("-A", "shop", "beat", "--health-port", "0")
    leads = shop.start(*line, env=JSON)
    leads.says("beat_lead_taken")
    waits = shop.start(*line, env=JSON)
    for beat in (leads, waits):
        assert ask(beat, "/livez") == (200, "ok\n")
        eventually(lambda beat=beat: ask(beat, "/readyz") == (200, "ok\n"))
        assert ask(beat, "/metrics") == (404, "expected /livez or /readyz\n")
    leads.signal(signal.SIGTERM)

    assert leads.wait() == 0


def test_a_broker_that_is_away_makes_beat_unready_and_never_dead(shop: Project) -> None:
    beat = shop.start(
        "-A", "shop", "-b", "redis://127.0.0.1:1/0", "beat", "--health-port", "0", env=JSON
    )

    assert ask(beat, "/livez") == (200, "ok\n")
    assert ask(beat, "/readyz") == (503, "no answer from the broker yet\n")
