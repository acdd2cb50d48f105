"""`windlass report`: what is installed, and every setting with where its value came from."""

from __future__ import annotations

import click
import msgspec

from windlass import reporting
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared


@click.command()
@click.option("--defaults", "with_defaults", is_flag=True, help="Settings at their default too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array: name, value, origin.")
@shared
def report(common: Common, with_defaults: bool, as_json: bool) -> None:
    """Print versions, tasks, and each setting with where its value came from.

    Passwords are hidden: fit for a bug report. No broker is asked.
    """
    app = load_app(common, required=False, needs_broker=False)
    app.finalize()  # so that the tasks of `imports` and `include` are there
    rows = app.conf.table(with_defaults=with_defaults)
    if as_json:
        found = [
            {"name": name, "value": reporting.plain(value), "origin": origin}
            for name, value, origin in rows
        ]
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    click.echo(reporting.software())
    click.echo(
        f"app      -> {app.main or '__main__'}: {', '.join(sorted(app.tasks)) or 'no tasks'}"
    )
    click.echo()
    shown = [(name, repr(value), origin) for name, value, origin in rows]
    click.echo(text.table(("SETTING", "VALUE", "FROM"), shown) if shown else "all defaults")
    for name, why in app.conf.ignored.items():
        click.echo(f"{name}: accepted, and without effect here: {why}")
