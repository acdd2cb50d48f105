"""What the workers of a chaos run execute: every run writes its start and its end into the log.

A task's value is the name of its run. So an outcome tells which run made it, and whatever follows
from an outcome (a link, the next step of a chain, the body of a chord) is given the run that it
follows from, and writes that down: a commit that happened twice, or in two halves, shows as an
outcome and a follow-up that name different runs.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import chaos_log
from chaos_log import End, Logbook, Start, now
from chaos_workload import LIMITS
from windlass import Windlass
from windlass.exceptions import Reject

app = Windlass("chaos")
BOOK = Logbook(Path(os.environ["CHAOS_LOG"]))
WORKER = os.environ["CHAOS_WORKER"]
_numbers = itertools.count()


def begin(task: Any, n: int, role: str, parents: list[str]) -> str:
    """Write that a run starts; returns its name."""
    request, at = task.request, now()
    run = f"{os.getpid():x}.{next(_numbers):x}.{int(at * 1e6):x}"
    BOOK.write(
        Start(
            at=at,
            run=run,
            id=request.id,
            n=n,
            role=role,
            worker=WORKER,
            deliveries=request.deliveries,
            retries=request.retries,
            handbacks=request.handbacks,
            wall_s=time.time() - at,
            parents=parents,
            token=request.token or 0,
        )
    )
    return run


def end(run: str, how: str = "ok") -> None:
    BOOK.write(End(at=now(), run=run, how=how))


def _run(task: Any, n: int, role: str, parents: list[str], ms: float) -> str:
    run = begin(task, n, role, parents)
    if ms:
        time.sleep(ms / 1000)
    end(run)
    return run


@app.task(bind=True)
def work(self, n, role="work", ms=0):
    return _run(self, n, role, [], ms)


@app.task(bind=True)
def after(self, parents, n, role, ms=0):
    """What follows: a link, a step of a chain, the body of a chord."""
    parents = parents if isinstance(parents, list) else [parents]
    return _run(self, n, role, parents, ms)


@app.task(bind=True, rate_limit=f"{LIMITS['rated'].per_second}/s")
def rated(self, n, role, ms):
    return _run(self, n, role, [], ms)


@app.task(bind=True, max_concurrency=LIMITS["few"].at_once)
def few(self, n, role, ms):
    return _run(self, n, role, [], ms)


@app.task(
    bind=True,
    limit_key="{key}",
    max_concurrency_per_key=LIMITS["keyed"].at_once,
    fair_share=True,
)
def keyed(self, n, role, ms, key):
    return _run(self, n, role, [], ms)


@app.task(bind=True, unique="done", unique_key="{key}", on_duplicate="return")
def unique(self, n, role, ms, key):
    return _run(self, n, role, [], ms)


@app.task(bind=True, max_retries=None)
def again(self, n, tries, delay_s):
    """Fail and be tried again, so many times."""
    run = begin(self, n, "work", [])
    if self.request.retries < tries:
        end(run, "retry")
        raise self.retry(countdown=delay_s)
    end(run)
    return run


@app.task(bind=True)
def fail(self, n):
    run = begin(self, n, "work", [])
    end(run, "error")
    raise ValueError(run)


@app.task(bind=True)
def mourn(self, failed_id, *, n):
    """What follows a failure. One positional argument: it is sent as a message of its own."""
    return _run(self, n, "mourn", [], 0)


@app.task(bind=True, acks_late=False)
def early(self, n, ms=0):
    """Acknowledged at start: never run twice."""
    return _run(self, n, "work", [], ms)


@app.task(bind=True)
def die_once(self, n):
    """Take the process along, the first time."""
    run = begin(self, n, "work", [])
    if not self.request.deliveries:
        os.kill(os.getpid(), signal.SIGKILL)
    end(run)
    return run


@app.task(bind=True)
def poison(self, n):
    """Take the process along, every time."""
    begin(self, n, "work", [])
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def fatal(self, n):
    """Take the worker along, every time: the parent of the process that forked this one."""
    begin(self, n, "work", [])
    zygote = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
    os.kill(int(zygote[1]), signal.SIGKILL)
    time.sleep(60)


@app.task(bind=True)
def reject(self, n):
    run = begin(self, n, "work", [])
    end(run, "error")
    raise Reject("on purpose", requeue=False)


__all__ = ["app", "chaos_log"]
