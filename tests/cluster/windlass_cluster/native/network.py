"""The network of a native cluster: a namespace per node, joined by one bridge.

Node 1's namespace holds the bridge with the node's own address on it (a bridge, because many
kernels come without the dummy module). Every other node hangs on that bridge by a veth pair. Pods
of node N have addresses 10.244.N.0/24 and reach other nodes' pods by plain routes. The host's own
namespace gets nothing: no link, no route, no rule.
"""

from windlass_cluster.commands import run

PREFIX = "10.90.0"
_BRIDGE = "nodes"


def node_address(number: int) -> str:
    """The address of a node, the same in every cluster: namespaces keep clusters apart."""
    return f"{PREFIX}.{number}"


def pod_subnet(number: int) -> str:
    """The addresses of a node's pods."""
    return f"10.244.{number}.0/24"


def connect_first(pid: int) -> None:
    """Sets up node 1: its address on a bridge, and a default route so that Services resolve.

    Args:
        pid: A process in the node's namespaces.
    """
    inside = _inside(pid)
    _common(pid)
    run([*inside, "ip", "link", "add", _BRIDGE, "type", "bridge"])
    run([*inside, "ip", "address", "add", f"{node_address(1)}/24", "dev", _BRIDGE])
    run([*inside, "ip", "link", "set", _BRIDGE, "up"])
    run([*inside, "ip", "route", "add", "default", "dev", _BRIDGE])


def connect_another(pid: int, number: int, first_pid: int) -> None:
    """Hangs another node on node 1's bridge and gives it its address and default route."""
    inside, in_first = _inside(pid), _inside(first_pid)
    link = f"to-node-{number}"
    _common(pid)
    peer = ["peer", "name", "eth0", "netns", str(pid)]
    run([*in_first, "ip", "link", "add", link, "type", "veth", *peer])
    run([*in_first, "ip", "link", "set", link, "master", _BRIDGE, "up"])
    run([*inside, "ip", "address", "add", f"{node_address(number)}/24", "dev", "eth0"])
    run([*inside, "ip", "link", "set", "eth0", "up"])
    run([*inside, "ip", "route", "add", "default", "via", node_address(1)])


def route_pods(pids: dict[int, int]) -> None:
    """Tells every node how to reach the others' pods; may be repeated.

    Args:
        pids: A process in each node's namespaces, by node number.
    """
    for number, pid in pids.items():
        for other in pids:
            if other != number:
                route = [pod_subnet(other), "via", node_address(other)]
                run([*_inside(pid), "ip", "route", "replace", *route])


def _common(pid: int) -> None:
    inside = _inside(pid)
    run([*inside, "ip", "link", "set", "lo", "up"])
    run([*inside, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])


def _inside(pid: int) -> list[str]:
    # Not `ip netns exec`: that remounts /sys, where a kubelet then finds no cgroups. The mount
    # namespace comes along because /proc/sys/net shows the namespace of who mounted /proc.
    return ["nsenter", f"--target={pid}", "--net", "--mount", "--"]
