"""`windlass graph`: a workflow as it is now, as text, for Graphviz or as mermaid."""

from __future__ import annotations

import click

from windlass.canvas.drawing import Drawing
from windlass.cli.options import Common, load_app, shared


@click.command()
@click.argument("task_id", metavar="ID")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid"]),
    default="text",
    help="A line a task, Graphviz's language, or a mermaid flowchart.",
)
@shared
def graph(common: Common, task_id: str, form: str) -> None:
    """Draw the workflow whose result is ID: what has ended, what waits for what, what failed.

    ID is that of the handle that sending a chain or a chord gave: of a chain its last task, of a
    chord its body. A group is known by its id once it was saved.

    \b
    windlass -A shop.tasks graph 4f0c... --format dot | dot -Tsvg > workflow.svg
    """  # noqa: D301  (click wants the character)
    with load_app(common, required=False) as app:
        drawing = Drawing.of(task_id, app)
    click.echo({"text": drawing.text, "dot": drawing.dot, "mermaid": drawing.mermaid}[form]())
