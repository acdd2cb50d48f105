"""What a person types: `python -m windlass_cluster up|down|status|load|build|kubectl|helm|…`.

The make targets (`make/cluster.mk`) are these commands; see `docs/how-to/test-cluster.md`.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.errors import ClusterError, NotPossibleHereError
from windlass_cluster.native import leftovers, programs
from windlass_cluster.native.api_level import ApiLevel
from windlass_cluster.progress import say
from windlass_cluster.providers import CHOICES, ImageBuild, Provider, Wanted, choose

_API_NAME = "api"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; a failure is said in words and is the exit code 1."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except ClusterError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(arguments: argparse.Namespace) -> int:
    if arguments.api_only:
        access = ApiLevel(_API_NAME).up()
    else:
        wanted = Wanted(nodes=arguments.nodes, metrics_server=arguments.metrics_server)
        access = _provider(arguments).up(wanted)
    print(
        f"The cluster is up ({access.provider}). To use it: export KUBECONFIG={access.kubeconfig}"
    )
    return 0


def _prepare(arguments: argparse.Namespace) -> int:
    """Where no cluster is possible the tests say so themselves, so that is no failure here."""
    try:
        if ApiLevel.why_not() is None:
            programs.build(programs.API_LEVEL)
        if not arguments.api_only:
            _provider(arguments).prepare()
    except NotPossibleHereError as reason:
        say(str(reason))
    return 0


def _down(arguments: argparse.Namespace) -> int:
    ApiLevel(_API_NAME).down()
    leftovers.sweep()
    if arguments.api_only:
        return 0
    # Whatever brought it up: another provider may be the first choice by now.
    for name in [arguments.provider] if arguments.provider else CHOICES:
        with contextlib.suppress(NotPossibleHereError):
            choose(name).down()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    status = _provider(arguments).status()
    print("\n".join(status.lines))
    return 0 if status.up else 3


def _build(arguments: argparse.Namespace) -> int:
    image = ImageBuild(
        name=arguments.name,
        context=Path(arguments.context),
        file=Path(arguments.file),
        target=arguments.target,
    )
    print(_provider(arguments).build(image))
    return 0


def _load(arguments: argparse.Namespace) -> int:
    _provider(arguments).load(arguments.image)
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    print(_access(arguments).kubeconfig)
    return 0


def _kubectl(arguments: argparse.Namespace) -> int:
    access = _access(arguments)
    return access.passthrough([*access.kubectl_argv(), *arguments.rest])


def _helm(arguments: argparse.Namespace) -> int:
    access = _access(arguments)
    return access.passthrough([*access.helm_argv(), *arguments.rest])


def _provider(arguments: argparse.Namespace) -> Provider:
    return choose(arguments.provider)


def _access(arguments: argparse.Namespace) -> Access:
    if arguments.api_only:
        return ApiLevel(_API_NAME).access()
    return _provider(arguments).access()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="windlass_cluster", description=__doc__)
    parser.add_argument("--provider", choices=CHOICES, help="default: the first that can work")
    parser.add_argument("--api-only", action="store_true", help="the light level: no nodes")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _command(commands, "up", _up, "bring the cluster up, building what is missing")
    up.add_argument("--nodes", type=int, default=1, help="how many nodes (default 1)")
    up.add_argument("--metrics-server", action="store_true", help="with metrics for an HPA")
    _command(commands, "prepare", _prepare, "build what a first start would build")
    _command(commands, "down", _down, "end the cluster and remove everything of it")
    _command(commands, "status", _status, "say what is up (code 3 when nothing is)")
    _command(commands, "kubeconfig", _kubeconfig, "print the kubeconfig's path")
    build = _command(commands, "build", _build, "build an image and print its reference")
    build.add_argument("name", help="for example windlass.test/worker")
    build.add_argument("--file", default=str(paths.TREE / "Dockerfile"))
    build.add_argument("--context", default=str(paths.TREE))
    build.add_argument("--target")
    load = _command(commands, "load", _load, "make an image known to every node")
    load.add_argument("image")
    for name, command in (("kubectl", _kubectl), ("helm", _helm)):
        tool = _command(commands, name, command, f"run {name} on the cluster")
        tool.add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], int],
    words: str,
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=words)
    made.set_defaults(command=command)
    return made


if __name__ == "__main__":
    sys.exit(main())
