"""What the operator remembers of a pool between ticks; all of it can be lost without harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from windlass_operator.parked_trial import Tried
from windlass_operator.scale_down import ScaleDown
from windlass_operator.scaling.stabilize import Memory
from windlass_operator.wanted_children import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A child that somebody changed was set back.

    Attributes:
        stamp: Of the body that was changed; the same one is not set back twice.
        count: How often within a while.
        at_s: The last time.
    """

    stamp: str
    count: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMemory:
    """One pool's memory.

    Attributes:
        scaling: Of the stabiliser; None before the first decision.
        scale_downs: Deployment -> scale-down under way.
        floors: Deployment -> (replicas, until): no scale-down below, after an abandoned one.
        replicas_set: Deployment -> replicas as we last set them.
        set_from: Deployment -> (replicas before that, when we set them): what is seen of a moment
            before our own write is no foreign one.
        conflicts: Times somebody else changed them, and when it was last corrected.
        version: Template version last asked for.
        corrections: (kind, name) of a child -> when changes by hand were last set back.
        right: The same -> resourceVersion at which nothing of it was changed by hand.
        credentials: uid of the TaskQueue that the workers' broker is of, and its broker_id, as
            last rolled out.
        cordons: Worker -> since when it is cordoned and no scale-down has it.
        stuck: Workers of which it was said that their cordon is stuck.
        wrong_victims: Ever.
        wanted: The children that were wanted, so that they are built once.
        tried: Parked tasks that workers of the template do not know; None before the first look.
    """

    scaling: Memory | None = None
    scale_downs: Mapping[str, ScaleDown] = field(default_factory=dict)
    floors: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    replicas_set: Mapping[str, int] = field(default_factory=dict)
    set_from: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    conflicts: int = 0
    corrected_s: float = 0.0
    version: str = ""
    corrections: Mapping[tuple[str, str], Correction] = field(default_factory=dict)
    right: Mapping[tuple[str, str], str] = field(default_factory=dict)
    credentials: tuple[str, str] = ("", "")
    cordons: Mapping[str, float] = field(default_factory=dict)
    stuck: frozenset[str] = frozenset()
    wrong_victims: int = 0
    wanted: Wanted | None = None
    tried: Tried | None = None
