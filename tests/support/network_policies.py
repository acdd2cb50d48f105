"""What NetworkPolicies allow, by the rules of the API; for clusters whose network enforces none.

A connection must be allowed out of its source and into its target. A pod that no policy of a
direction selects is open in that direction; for a selected one any rule of any policy is enough.
Ports are numbers here; blocks of addresses are for peers with an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or with no namespace something outside the cluster.

    Attributes:
        labels: Of the pod.
        namespace_labels: Of its namespace, besides its name.
    """

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "203.0.113.7"


def is_allowed(
    policies: Iterable[Policy], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Whether a source may connect to a port of a target."""
    policies = list(policies)
    out = _passes(policies, source, target, port, protocol, "Egress")
    return out and _passes(policies, target, source, port, protocol, "Ingress")


def _passes(
    policies: list[Policy], pod: Peer, other: Peer, port: int, protocol: str, direction: str
) -> bool:
    selecting = [one for one in policies if _selects(one, pod, direction)]
    key = direction.lower()
    return not selecting or any(
        _rule_matches(rule, policy["metadata"]["namespace"], other, port, protocol)
        for policy in selecting
        for rule in policy["spec"].get(key) or ()
    )


def _selects(policy: Policy, pod: Peer, direction: str) -> bool:
    spec = policy["spec"]
    # Without types: always ingress, and egress if it has rules for that.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    is_here = bool(pod.namespace) and policy["metadata"]["namespace"] == pod.namespace
    return is_here and direction in types and matches(spec["podSelector"], pod.labels)


def _rule_matches(
    rule: Mapping[str, Any], home: str, other: Peer, port: int, protocol: str
) -> bool:
    ports = rule.get("ports") or ()
    peers = rule.get("from") or rule.get("to") or ()
    has_port = not ports or any(_port_matches(one, port, protocol) for one in ports)
    return has_port and (not peers or any(_peer_matches(one, home, other) for one in peers))


def _port_matches(wanted: Mapping[str, Any], port: int, protocol: str) -> bool:
    first = wanted.get("port")
    is_it = first is None or int(first) <= port <= int(wanted.get("endPort", first))
    return is_it and wanted.get("protocol", "TCP") == protocol


def _peer_matches(wanted: Mapping[str, Any], home: str, other: Peer) -> bool:
    block = wanted.get("ipBlock")
    if block is not None:
        address = ipaddress.ip_address(other.address)
        is_out = any(address in ipaddress.ip_network(one) for one in block.get("except", ()))
        return address in ipaddress.ip_network(block["cidr"]) and not is_out
    if not other.namespace:
        return False
    spaces = wanted.get("namespaceSelector")
    named = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
    is_space = other.namespace == home if spaces is None else matches(spaces, named)
    return is_space and matches(wanted.get("podSelector") or {}, other.labels)


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expression_matches(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _expression_matches(wanted: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = wanted["key"], wanted.get("values") or ()
    found: dict[str, bool] = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return found[wanted["operator"]]
