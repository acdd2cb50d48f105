"""Free ports on this machine's loopback, the only place anything of ours listens."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

_LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def listening_socket(remembered: Path) -> socket.socket:
    """A socket that listens on loopback, on the port it had last time if that is still free.

    Args:
        remembered: The file that keeps the port, so that a kubeconfig stays valid.
    """
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((_LOOPBACK, json.loads(remembered.read_text())))
    except (OSError, ValueError):
        made.bind((_LOOPBACK, 0))
    made.listen(128)
    remembered.write_text(json.dumps(made.getsockname()[1]))
    return made
