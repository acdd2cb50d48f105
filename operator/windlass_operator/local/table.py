"""The live table on a terminal, below the workers' lines."""

from __future__ import annotations

import zlib

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from windlass_operator.local.display import Display
from windlass_operator.local.snapshot import PoolRow, QueueRow, Snapshot

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")


class TableDisplay(Display):
    """Draws with rich; lines scroll above."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False,
                          redirect_stderr=False, vertical_overflow="visible")  # fmt: skip
        self._is_live = False

    def begin(self) -> None:
        """Draw below what was printed so far."""
        self.flush()
        self._live.start()
        self._is_live = True

    def end(self) -> None:
        """Leave the last table where it is."""
        self.flush()
        if self._is_live:
            self._live.stop()
            self._is_live = False

    def _print(self, lines: list[tuple[str, str]]) -> None:
        width = max(len(pod) for pod, _ in lines)
        text = Text()
        for number, (pod, line) in enumerate(lines):
            if number:
                text.append("\n")
            if pod:
                text.append(f"{pod:<{width}} ", style=_colour(pod))
                text.append("| ", style="dim")
                text.append(Text.from_ansi(line))
            else:
                text.append(line, style="bold" if line else "")
        self._console.print(text, soft_wrap=True)

    def show(self, snapshot: Snapshot, now_s: float) -> None:
        """Draw the tables anew."""
        self.flush()
        self._live.update(tables(snapshot), refresh=True)


def tables(snapshot: Snapshot) -> RenderableType:
    """Build the tables of queues and pools."""
    return Group(_queues(snapshot.queues), _pools(snapshot.pools))


def _queues(rows: tuple[QueueRow, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("QUEUE")
    for name in ("WAITING", "LEASED", "SCHEDULED", "DEAD", "DONE", "A SECOND", "OLDEST"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        counts = (row.waiting, row.running, row.scheduled, row.dead, row.done)
        cells = ["-" if count is None else f"{count:,}" for count in counts]
        if row.dead:
            cells[3] = f"[red]{cells[3]}[/red]"
        words = Text(row.words, style="yellow")
        table.add_row(row.name, *cells, f"{row.rate:,.0f}", row.oldest, words)
    return table


def _pools(rows: tuple[PoolRow, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("POOL")
    for name in ("WANTED", "THERE", "READY", "BUSY"):
        table.add_column(name, justify="right")
    table.add_column("WHY")
    for row in rows:
        words = f"{row.reason}: {_outcome(row.words)}" if row.is_well else row.words
        table.add_row(
            row.name,
            str(row.desired),
            str(row.current),
            str(row.ready),
            f"{row.busy}/{row.slots}",
            Text(words, style="" if row.is_well else "red"),
        )
    return table


def _outcome(words: str) -> str:
    """Leave out what the table of queues shows already."""
    _, outcome, rest = words.partition("work wants ")
    return outcome + rest if outcome else words


def _colour(pod: str) -> str:
    return _COLOURS[zlib.crc32(pod.encode()) % len(_COLOURS)]
