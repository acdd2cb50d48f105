"""An application's own flags of `windlass worker`: `app.user_options["worker"]`.

    from click import Option
    app.user_options["worker"].add(Option(("--tenant",), help="Whose tasks."))

    @celeryd_init.connect
    def configure(options, **_): serve(options["tenant"])

They stand in --help, are parsed with the worker's own, and reach the application by the signal
`celeryd_init` (those in `user_options["preload"]` by `user_preload_options`), before modules of
tasks are imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click

from windlass import signals
from windlass.app import Windlass
from windlass.cli.locate import find_app
from windlass.cli.options import Common
from windlass.errors import ConfigurationError

_META = "windlass.user_options"


class WithUserOptions(click.Command):
    """A command that takes the flags of the app, which therefore is imported first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with the app's own options among the known ones."""
        found = _options_of(_app_for(ctx, args))
        taken = {name for param in self.params for name in (*param.opts, *param.secondary_opts)}
        for _, option in found:
            if clash := taken.intersection(option.opts):
                msg = f"app.user_options names {', '.join(sorted(clash))}, an option of ours."
                raise ConfigurationError(msg)
        own, self.params = self.params, [*self.params, *(option for _, option in found)]
        try:
            if not found:
                return super().parse_args(ctx, args)
            rest = super().parse_args(ctx, args)
        finally:
            self.params = own
        given: dict[str, dict[str, Any]] = {"preload": {}, "worker": {}}
        for kind, option in found:
            if option.name:
                given[kind][option.name] = ctx.params.pop(option.name, None)
        ctx.meta[_META] = given
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Name the app's options in --help too."""
        own = super().get_params(ctx)
        known = {id(param) for param in own}
        shown = _options_of(_app_for(ctx, []))
        return [*own, *(option for _, option in shown if id(option) not in known)]


def announce(app: Windlass, context: click.Context, hostname: str) -> None:
    """Tell the application what was given for its options."""
    given: dict[str, dict[str, Any]] = context.meta.get(_META, {})
    if given.get("preload"):
        signals.user_preload_options.send(app, app=app, options=given["preload"])
    options = {**context.params, **given.get("worker", {})}
    signals.celeryd_init.send(hostname, instance=app, conf=app.conf, options=options)


def _options_of(app: Windlass | None) -> list[tuple[str, click.Option]]:
    if app is None:
        return []
    kinds: dict[str, Iterable[Any]] = {
        kind: app.user_options[kind] for kind in ("preload", "worker") if kind in app.user_options
    }
    return [
        (kind, option)
        for kind, options in kinds.items()
        for option in sorted(options, key=lambda each: each.name or "")
    ]


def _app_for(ctx: click.Context, args: list[str]) -> Windlass | None:
    """Import the app that will be used; None where it cannot be: the command says why."""
    common = ctx.find_object(Common) or Common()
    if common.instance is not None:
        return common.instance
    name = _value_of(("-A", "--app"), args) or common.app or os.environ.get("WINDLASS_APP")
    try:
        workdir = _value_of(("--workdir",), args) or common.workdir
        return find_app(name, workdir=workdir) if name else None
    except ConfigurationError:
        return None


def _value_of(names: tuple[str, ...], args: list[str]) -> str | None:
    """Find an option's value before the command line is parsed: `-A x`, `-Ax`, `--app=x`."""
    for at, each in enumerate(args):
        if each in names:
            return args[at + 1] if at + 1 < len(args) else None
        for name in names:
            begun = f"{name}=" if name.startswith("--") else name
            if each.startswith(begun) and not (begun == name and each.startswith("--")):
                return each.removeprefix(begun)
    return None
