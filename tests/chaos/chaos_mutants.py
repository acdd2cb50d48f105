"""Engines with a known fault, each of which the suite has to catch: the suite is itself tested.

A mutant is a few edits of a COPY of the package, never of the tree. Most are one line of a script.
An edit that finds nothing to change is an error: the engine has changed, and the mutant must
follow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "worker" / "windlass"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace every `old` in a file of the package; an empty `old` appends."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """An engine with a fault.

    Attributes:
        name: Of it.
        edits: What is wrong with it.
        caught_as: Promises that the auditor must find broken; one of them is enough.
        faults: Of the storm.
        mix: Of the workload.
        seconds: Of sending.
        settle_s: How long the end may take: some never come to rest.
    """

    name: str
    edits: tuple[Edit, ...]
    caught_as: frozenset[str]
    faults: str
    mix: str
    seconds: float = 6.0
    settle_s: float = 12.0
    rounds: int = 1


_LUA = "redis_store/lua/"
#: A crash in the middle of what should be one step, once in so many.
_CRASH = "if random.random() < 0.008:\n            os.kill(os.getpid(), 9)\n"
_SPLIT = f'''

import os
import random

from windlass.brokers.base import Done
from windlass.redis_store.resp import packed as _packed

_whole = RedisBroker.exchange


def _split(self, settlements, request):
    """Store outcomes in a call of its own; may crash before what acknowledges."""
    stored = [item for item in settlements if isinstance(item, Done) and item.result is not None]
    for item in stored:
        self.links.call([_packed("SET", self.keys.result(item.id), item.result.payload)])
        {_CRASH}
    return _whole(self, settlements, request)


RedisBroker.exchange = _split
'''
_APART = f'''

import os
import random

import msgspec as _msgspec

from windlass.brokers.base import Done

_whole = RedisBroker.exchange


def _apart(self, settlements, request):
    """Send follow-ups in a call of their own; may crash before what acknowledges."""
    kept = []
    for item in settlements:
        if isinstance(item, Done) and item.followups:
            self.enqueue(item.followups)
            item = _msgspec.structs.replace(item, followups=())
            {_CRASH.replace("            ", "                ")}
        kept.append(item)
    return _whole(self, kept, request)


RedisBroker.exchange = _apart
'''
_TWICE = frozenset({"committed-twice", "outcome-changed"})
_FROZEN = "freeze,freeze_head"
_BUSY = "link=5,nap=8,chain=2,plain=2"

MUTANTS = (
    Mutant(
        name="fencing is skipped",
        edits=(
            Edit(_LUA + "lib/settle.lua", "return redis.call('HGET', leased, id) == token",
                 "return true"),
            Edit(_LUA + "commit.lua", "owners[i] ~= token or ", ""),
            Edit(_LUA + "commit_with_parts.lua", "owners[i] ~= token or ", ""),
        ),
        caught_as=_TWICE, faults=_FROZEN, mix=_BUSY, seconds=8.0, rounds=2,
    ),
    Mutant(
        name="a commit is split in two",
        edits=(Edit("brokers/redis.py", "", _SPLIT),),
        caught_as=_TWICE, faults="kill_head", mix=_BUSY,
    ),
    Mutant(
        name="follow-ups are sent outside of the commit",
        edits=(Edit("brokers/redis.py", "", _APART),),
        caught_as=_TWICE, faults="kill_head", mix=_BUSY,
    ),
    Mutant(
        name="leases are never renewed",
        edits=(Edit("runtime/lease_keeper.py",
                    "self._broker.renew(tokens, round(self._lease_s * 1000))", "[]"),),
        caught_as=frozenset({"run-twice"}), faults="none", mix="plain=1,nap=2", seconds=2.0,
    ),
    Mutant(
        name="a cordon never expires",
        edits=(Edit(_LUA + "cordon.lua", "now + ttl", "now + 1e12"),),
        caught_as=frozenset({"idle"}), faults="cordon", mix="plain=1,nap=2", seconds=3.0,
    ),
    Mutant(
        name="a settlement counts twice",
        edits=(Edit(_LUA + "lib/settle.lua", "HINCRBY', left, token, -n)",
                    "HINCRBY', left, token, -2 * n)"),),
        caught_as=frozenset({"lost", "left-behind"}), faults="kill_worker", mix="nap=1,plain=5",
    ),
    Mutant(
        name="a retry is scheduled and not acknowledged",
        edits=(Edit(_LUA + "commit_retry.lua", "redis.call('HDEL', leased, id)\n", ""),
               Edit(_LUA + "commit_retry.lua", "settle(leases, grants, left, token, 1)\n", "")),
        caught_as=frozenset({"run-twice", "left-behind"}), faults="none", mix="retry=5,nap=1",
    ),
    Mutant(
        name="the reaper ignores the cap",
        edits=(Edit(_LUA + "reap_expired.lua", "if c[1] + 1 >= cap then", "if false then"),),
        caught_as=frozenset({"dead", "left-behind"}), faults="none", mix="fatal=1,plain=300",
        settle_s=25.0,
    ),
    Mutant(
        name="a crash ignores the cap",
        edits=(Edit(_LUA + "crash.lua", "if at and c[1] < cap then", "if at then"),),
        caught_as=frozenset({"dead", "left-behind"}), faults="none", mix="poison=1,plain=50",
        seconds=2.0,
    ),
    Mutant(
        name="sending twice enqueues twice",
        edits=(
            Edit(_LUA + "enqueue.lua", "redis.call('HSETNX', messages, id, raw) == 0",
                 "redis.call('HSET', messages, id, raw) < 0"),
            Edit(_LUA + "enqueue.lua", "counts and has_ended(KEYS[FIRST_RESULT + i])", "false"),
        ),
        caught_as=frozenset({"run-twice", "left-behind", "lost", "committed-twice"}),
        faults="lost_reply", mix="plain=1,link=1", seconds=6.0, rounds=3,
    ),
    Mutant(
        name="what is due later runs too early",
        edits=(Edit(_LUA + "fetch.lua", "key(q, 14), '-inf', now,",
                    "key(q, 14), '-inf', now + 700,"),),
        caught_as=frozenset({"too-early"}), faults="none", mix="delay=1,retry=1", seconds=2.0,
    ),
    Mutant(
        name="limits of tasks are not looked at",
        edits=(Edit(_LUA + "fetch.lua", "local limiter_ = lib and",
                    "local limiter_ = false and"),),
        caught_as=frozenset({"limit"}), faults="none", mix="rated=1,few=1,keyed=2", seconds=2.0,
    ),
    Mutant(
        name="limits of queues are not looked at",
        edits=(Edit(_LUA + "lib/limits.lua", "if not rate and not most then return nil end",
                    "if rate or most then return nil end"),),
        caught_as=frozenset({"limit"}), faults="none", mix="narrow=1", seconds=2.0,
    ),
    Mutant(
        name="lower priorities go first",
        edits=(Edit("redis_store/keys.py", "return self.ready[::-1]", "return self.ready"),),
        caught_as=frozenset({"order"}), faults="none", mix="plain=1", seconds=2.0,
    ),
)  # fmt: skip


def copy_with(mutant: Mutant, folder: Path) -> Path:
    """Copy the package with its faults; returns the folder for PYTHONPATH.

    Raises:
        AssertionError: An edit found nothing to change.
    """
    target = folder / "mutant"
    shutil.copytree(PACKAGE, target / "windlass", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in mutant.edits:
        file = target / "windlass" / edit.file
        text = file.read_text()
        assert edit.old in text, f"{mutant.name}: {edit.file} has no {edit.old!r} any more"
        file.write_text(text.replace(edit.old, edit.new) if edit.old else text + edit.new)
    return target


def findings_of(mutant: Mutant, folder: Path, package: Path | None = None) -> dict[str, int]:
    """Run the suite on a mutant; returns promise -> how often it was found broken.

    Args:
        mutant: Which.
        folder: For the copy, the log and the report.
        package: Another package than the mutant's, to see that the same run is clean on it.
    """
    path = os.pathsep.join([str(package or copy_with(mutant, folder)), *filter(None, sys.path)])
    command = [
        sys.executable, str(HERE / "run.py"), "--small", "--tasks", "400", "--lease", "1.5",
        "--pause", "0.2", "--bursts", "1", "--seed", "7", "--minutes", str(mutant.seconds / 60),
        "--faults", mutant.faults, "--mix", mutant.mix, "--settle", str(mutant.settle_s),
        "--rounds", str(mutant.rounds), "--report", str(folder), "--keep", str(folder),
    ]  # fmt: skip
    with (folder / "output").open("wb") as output:
        subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=output, stderr=output,
            timeout=240, check=False,
        )  # fmt: skip
    report = folder / "report.json"
    assert report.exists(), (folder / "output").read_text()[-3000:]
    findings: dict[str, int] = msgspec.json.decode(report.read_bytes())["findings"]
    return findings
