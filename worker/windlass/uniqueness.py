"""Unique tasks, debounce and throttle: from options to what a message is sent with. Pure.

    unique="queued"    one waits at a time          unique_for=60   one in 60 s
    unique="started"   one at a time that has never been started
    unique="done"      one waits or runs at a time

    debounce=5    one run, 5 s after the last of several calls
    throttle=60   a run at once, then one at most in 60 s, with the last call's arguments

What "one" means is the key: all arguments, or what `unique_key` makes of them. What becomes of
another call is `on_duplicate`. Next in the walk: `windlass.claiming`, then
`lua/enqueue_unique.lua`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import call_options
from windlass.argument_keys import KeyMaker
from windlass.errors import ConfigurationError, nearest
from windlass.messages import Unique

if TYPE_CHECKING:
    from windlass.task import Task

#: Options that say how; a call that has one of them has nothing of the task's choice.
_HOW = ("unique", "unique_for", "debounce", "debounce_max_wait", "throttle")
#: All of them, of a task and of a call.
OPTIONS = call_options.UNIQUE
_UNTIL = ("queued", "started", "done")
_ON_DUPLICATE = ("return", "reject", "replace")
_TIMES = ("countdown", "eta")


class Rule(NamedTuple):
    """What the options say.

    Attributes:
        until: As `Unique.until`.
        on_duplicate: As there, and the times too.
    """

    until: str
    on_duplicate: str = "return"
    period_ms: int = 0
    max_wait_ms: int = 0


class Locks:
    """Makes the locks of a task's calls.

    Args:
        task_name: Calls of other tasks are never the same.
        rule: What the options say.
        maker: Of the key.
    """

    def __init__(self, task_name: str, rule: Rule, maker: KeyMaker) -> None:
        self._prefix = f"{task_name}:"
        self._rule = rule
        self._maker = maker

    def lock(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Unique | None:
        """Return the lock of a call, None where its key function says that it has no key.

        Raises:
            ValueError: The arguments have no key.
        """
        key = self._maker(args, kwargs)
        if key is None:
            return None
        until, on_duplicate, period_ms, max_wait_ms = self._rule
        return Unique(
            key=self._prefix + key,
            until=until,
            on_duplicate=on_duplicate,
            period_ms=period_ms,
            max_wait_ms=max_wait_ms,
        )


def locks_of(
    name: str, task: Task[..., Any] | None, call: Mapping[str, Any], times: Mapping[str, Any]
) -> Locks | None:
    """Return what makes the locks of calls with these options, None for no locks.

    Args:
        name: The task's name.
        task: The task if it is known here.
        call: Options of the call.
        times: All options of the call, with those of task and route: countdown and eta.

    Raises:
        ConfigurationError: The options do not go together, or a value is ill-typed.
    """
    options = merged(task, call)
    rule = rule_of(options)
    if rule is None:
        return None
    if rule.until in ("debounce", "throttle"):
        for option in _TIMES:
            if times.get(option) is not None:
                text = f"{option} does not go with {rule.until}, which says when the task runs."
                raise ConfigurationError(text)
    return Locks(name, rule, _maker(task, options.get("unique_key")))


def merged(task: Task[..., Any] | None, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call that say anything of it: its own, then the task's."""
    own = {name: call[name] for name in OPTIONS if call.get(name) is not None}
    if task is None:
        return own
    taken = OPTIONS.difference(_HOW) if any(name in own for name in _HOW) else OPTIONS
    given = ((name, getattr(task, name)) for name in taken)
    return {**{name: value for name, value in given if value is not None}, **own}


def rule_of(options: Mapping[str, Any]) -> Rule | None:
    """Return what options say, None for nothing.

    Raises:
        ConfigurationError: They do not go together, or a value is ill-typed.
    """
    hows = [name for name in _HOW if name != "debounce_max_wait" and _is_given(options, name)]
    if len(hows) > 1:
        text = f"{' and '.join(hows)} do not go together. Expected one of them."
        raise ConfigurationError(text)
    if not hows:
        _check_without(options)
        return None
    how, on_duplicate = hows[0], options.get("on_duplicate") or "return"
    if on_duplicate not in _ON_DUPLICATE:
        raise _no_choice("on_duplicate", on_duplicate, _ON_DUPLICATE)
    if how in ("debounce", "throttle") and "on_duplicate" in options:
        text = f"on_duplicate does not go with {how}: calls come together in one run."
        raise ConfigurationError(text)
    if how != "debounce" and options.get("debounce_max_wait") is not None:
        text = "debounce_max_wait needs debounce=: it bounds its wait."
        raise ConfigurationError(text)
    if how == "unique":
        return Rule(_until(options["unique"]), on_duplicate)
    period_ms = _milliseconds(how, options[how])
    if how == "unique_for":
        return Rule("period", on_duplicate, period_ms)
    return Rule(how, "return", period_ms, _max_wait_ms(options, period_ms))


def check_task(task: Task[..., Any]) -> None:
    """Check a task's options of this kind, when it is declared.

    Raises:
        ConfigurationError: They do not go together, or do not fit the task's parameters.
    """
    options = merged(task, {})
    if not options:
        return
    if rule_of(options) is not None:
        _maker(task, options.get("unique_key"))
    elif options.get("unique") is None:
        text = f"{' and '.join(sorted(options))} has no meaning without unique= or the like."
        raise ConfigurationError(text)


def refuse(options: Mapping[str, Any], what: str, instead: str) -> None:
    """Refuse options of this kind where they cannot be honoured.

    Raises:
        ConfigurationError: There is one.
    """
    for name in sorted(OPTIONS.intersection(options)):
        if options[name] not in (None, False):
            text = f"{name} cannot be an option of {what}, which is always sent. {instead}"
            raise ConfigurationError(text)


def _is_given(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name)
    return value is not None and value is not False


def _check_without(options: Mapping[str, Any]) -> None:
    if options.get("debounce_max_wait") is not None:
        text = "debounce_max_wait needs debounce=: it bounds its wait."
        raise ConfigurationError(text)


def _until(value: object) -> str:
    if value is True:
        return "done"
    if value not in _UNTIL:
        raise _no_choice("unique", value, _UNTIL)
    return str(value)


def _milliseconds(name: str, value: object) -> int:
    try:
        period_ms = round(call_options.seconds(name, value) * 1000)
    except TypeError as error:
        raise ConfigurationError(str(error)) from error
    if period_ms < 1:
        text = f"{name} must be more than 0 seconds, got {value!r}."
        raise ConfigurationError(text)
    return period_ms


def _max_wait_ms(options: Mapping[str, Any], period_ms: int) -> int:
    value = options.get("debounce_max_wait")
    if value is None:
        return 0
    max_wait_ms = _milliseconds("debounce_max_wait", value)
    if max_wait_ms < period_ms:
        text = (
            f"debounce_max_wait={value!r} must not be less than debounce={options['debounce']!r}."
        )
        raise ConfigurationError(text)
    return max_wait_ms


def _no_choice(option: str, value: object, choices: Sequence[str]) -> ConfigurationError:
    hint = nearest(value, choices) if isinstance(value, str) else ""
    expected = ", ".join(repr(choice) for choice in choices)
    return ConfigurationError(
        f"{option}={value!r} is not known.{hint} Expected one of: {expected}."
    )


def _maker(task: Task[..., Any] | None, spec: Any) -> KeyMaker:
    """Return the maker of keys; that of a task's own specification is made once."""
    if task is None:
        return KeyMaker.of(spec, None)
    if spec is not task.unique_key:
        return KeyMaker.of(spec, inspect.signature(task.run))
    kept: KeyMaker | None = task.__dict__.get("_key_maker")
    if kept is None:
        kept = task.__dict__["_key_maker"] = KeyMaker.of(spec, inspect.signature(task.run))
    return kept
