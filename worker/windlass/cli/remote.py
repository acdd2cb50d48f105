"""`windlass inspect`, `windlass control`, `windlass status`: commands to the workers there are.

Next in the walk: `windlass.remote_calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.errors import nearest
from windlass.remote_calls import Request, ask

#: Exit code when no worker answered (EX_UNAVAILABLE), as Celery's.
NOBODY = 69


@dataclass(frozen=True, slots=True)
class Method:
    """One remote command on the command line.

    Attributes:
        help: One sentence.
        takes: Names of its arguments; the last one takes the rest with "...".
        needed: How many of them must be given.
    """

    help: str
    takes: tuple[str, ...] = ()
    needed: int = 0

    def arguments(self, name: str, given: Sequence[str]) -> dict[str, Any]:
        """Match what was given with the names.

        Raises:
            click.UsageError: Too few or too many.
        """
        rest = self.takes[-1].removesuffix("...") if self.takes[-1:] else ""
        takes_rest = self.takes[-1:] == (f"{rest}...",)
        if len(given) < self.needed or (len(given) > len(self.takes) and not takes_rest):
            msg = f"{name} takes {self.usage or 'no arguments'}; got {len(given)}."
            raise click.UsageError(msg)
        if takes_rest:
            return {rest: list(given)} if given else {}
        return {key: _value(text) for key, text in zip(self.takes, given, strict=False)}

    @property
    def usage(self) -> str:
        """The arguments as --help shows them."""
        shown = [name.upper() for name in self.takes]
        return " ".join(name if at < self.needed else f"[{name}]" for at, name in enumerate(shown))


INSPECT = {
    "ping": Method("Ask whether it is there."),
    "active": Method("What runs now."),
    "reserved": Method("What was fetched and has not begun."),
    "scheduled": Method("What is scheduled in the queues it serves; kept by the broker."),
    "registered": Method("The tasks it can run, with attributes of theirs.", ("taskinfoitems...",)),
    "stats": Method("Numbers: tasks done, pool, broker, resources."),
    "conf": Method("Settings that were set, secrets hidden.", ("with_defaults",)),
    "active_queues": Method("The queues it serves."),
    "query_task": Method("Whether tasks run or wait there.", ("ids...",), 1),
    "revoked": Method("Ids that are marked as revoked; kept by the broker."),
    "report": Method("Software and settings as text."),
}
CONTROL = {
    "rate_limit": Method(
        "Change a task's rate limit: 10/s, 100/m, 5/h; 0 for none.", ("task_name", "rate_limit"), 2
    ),
    "time_limit": Method(
        "Change a task's time limits, seconds; 0 for the default.", ("task_name", "soft", "hard"), 2
    ),
    "add_consumer": Method("Serve one more queue.", ("queue",), 1),
    "cancel_consumer": Method("Take nothing more from a queue.", ("queue",), 1),
    "pool_grow": Method("Add slots.", ("n",)),
    "pool_shrink": Method("Take slots away, idle ones first; no running task ends.", ("n",)),
    "pool_restart": Method("Replace slot processes when what they run has ended."),
    "shutdown": Method("Stop as with SIGTERM."),
    "enable_events": Method("Accepted; events come in a later version."),
    "disable_events": Method("Accepted; events come in a later version."),
}


def _listing(methods: dict[str, Method]) -> str:
    rows = [f"  {f'{name} {each.usage}'.strip():<36} {each.help}" for name, each in methods.items()]
    return "\n".join(["\b", "Methods:", *rows])


_TARGET = (
    click.option(
        "-d",
        "--destination",
        type=text.NameList(),
        help="Only these workers: node names or worker ids, a,b.",
    ),
    click.option(
        "-t",
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="How long answers are waited for.",
    ),
    click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object, answers by node."),
)


def _targeted(command: Any) -> Any:
    for option in reversed(_TARGET):
        command = option(command)
    return command


def _complete(
    methods: dict[str, Method],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    return lambda _context, _parameter, begun: [
        CompletionItem(name, help=method.help)
        for name, method in methods.items()
        if name.startswith(begun)
    ]


@click.command(epilog=_listing(INSPECT))
@click.argument("method", shell_complete=_complete(INSPECT))
@click.argument("arguments", nargs=-1)
@_targeted
@shared
def inspect(common: Common, method: str, arguments: tuple[str, ...], **target: Any) -> int:
    """Ask workers what they do. They answer while every slot is busy."""
    return _run(common, INSPECT, method, arguments, target)


@click.command(epilog=_listing(CONTROL))
@click.argument("method", shell_complete=_complete(CONTROL))
@click.argument("arguments", nargs=-1)
@_targeted
@shared
def control(common: Common, method: str, arguments: tuple[str, ...], **target: Any) -> int:
    """Change workers while they run; a change holds until the worker ends.

    Who holds the broker's credentials may do it. Revoking needs no worker: windlass revoke.
    """
    return _run(common, CONTROL, method, arguments, target)


@click.command()
@_targeted
@shared
def status(common: Common, **target: Any) -> int:
    """Name the workers that answer."""
    return _run(common, INSPECT, "ping", (), target)


def _run(
    common: Common,
    methods: dict[str, Method],
    name: str,
    given: tuple[str, ...],
    target: dict[str, Any],
) -> int:
    method = methods.get(name)
    if method is None:
        known = ", ".join(methods)
        msg = f"no method {name!r}.{nearest(name, methods)} Expected one of: {known}."
        raise click.UsageError(msg)
    request = Request(
        command=name,
        arguments=method.arguments(name, given),
        destination=target["destination"],
        timeout_s=target["timeout"],
    )
    with load_app(common, required=False) as app:
        answers = dict(ask(app, request))
    if target["as_json"]:
        click.echo(msgspec.json.format(msgspec.json.encode(answers)).decode())
    else:
        for node, answer in answers.items():
            click.echo(_shown(node, answer))
    if not answers:
        click.echo(f"No worker answered within {target['timeout']:g} s.", err=True)
        return NOBODY
    return int(any(_is_error(answer) for answer in answers.values()))


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and set(answer) == {"error"}


def _shown(node: str, answer: Any) -> str:
    """One worker's answer for people."""
    if isinstance(answer, dict) and len(answer) == 1 and {"ok", "error"}.intersection(answer):
        ((kind, said),) = answer.items()
        said = f"error: {said}" if kind == "error" else str(said)
        return f"{node}: {said}" if "\n" not in said else f"{node}:\n{said}"
    if not answer:
        return f"{node}: nothing"
    if isinstance(answer, list):
        return "\n".join([f"{node}:", *(f"  {_line(each)}" for each in answer)])
    body = msgspec.json.format(msgspec.json.encode(answer)).decode()
    return f"{node}:\n{body}"


def _line(each: Any) -> str:
    return each if isinstance(each, str) else msgspec.json.encode(each).decode()


def _value(given: str) -> Any:
    """A number where it is one, else the text."""
    for kind in (int, float):
        try:
            return kind(given)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(given.lower(), given)
