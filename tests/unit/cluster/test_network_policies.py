"""The reader of NetworkPolicies that other tests rely on, against examples of the API itself."""

from __future__ import annotations

from typing import Any

import pytest

from network_policies import Peer, is_allowed

DB = Peer("default", {"role": "db"}, address="10.0.0.9")
FRONT = Peer("default", {"role": "frontend"})
OTHER = Peer("default", {"role": "batch"})
TEAM = Peer("team", {"role": "frontend"}, {"project": "shop"})


def policy(**spec: Any) -> dict[str, Any]:
    given = {"podSelector": {"matchLabels": {"role": "db"}}, **spec}
    return {"metadata": {"namespace": "default"}, "spec": given}


def ingress(*peers: dict[str, Any]) -> dict[str, Any]:
    return policy(ingress=[{"from": list(peers)}])


@pytest.mark.parametrize(
    ("sentence", "given", "source", "expected"),
    [
        ("without a rule nobody comes in", policy(policyTypes=["Ingress"]), FRONT, False),
        ("an empty rule lets everybody in", policy(ingress=[{}]), FRONT, True),
        ("a policy of egress leaves ingress open", policy(policyTypes=["Egress"]), FRONT, True),
        ("without types a policy is of ingress", policy(), FRONT, False),
        (
            "pods of the same namespace",
            ingress({"podSelector": {"matchLabels": {"role": "frontend"}}}),
            FRONT, True,
        ),
        (
            "and no others",
            ingress({"podSelector": {"matchLabels": {"role": "frontend"}}}),
            OTHER, False,
        ),
        (
            "not those of another namespace",
            ingress({"podSelector": {"matchLabels": {"role": "frontend"}}}),
            TEAM, False,
        ),
        (
            "namespace and pod in one item: both",
            ingress({"namespaceSelector": {"matchLabels": {"project": "shop"}},
                     "podSelector": {"matchLabels": {"role": "batch"}}}),
            TEAM, False,
        ),
        (
            "in two items: either",
            ingress({"namespaceSelector": {"matchLabels": {"project": "shop"}}},
                    {"podSelector": {"matchLabels": {"role": "batch"}}}),
            TEAM, True,
        ),
        ("an empty namespace selector is all", ingress({"namespaceSelector": {}}), TEAM, True),
        (
            "expressions",
            ingress({"podSelector": {"matchExpressions": [
                {"key": "role", "operator": "NotIn", "values": ["batch"]},
                {"key": "canary", "operator": "DoesNotExist"}]}}),
            FRONT, True,
        ),
        (
            "a block of addresses but for a part of it",
            ingress({"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}}),
            Peer(address="172.17.1.4"), False,
        ),
        (
            "the rest of the block",
            ingress({"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}}),
            Peer(address="172.17.2.4"), True,
        ),
    ],
)  # fmt: skip
def test_who_comes_in(
    sentence: str, given: dict[str, Any], source: Peer, *, expected: bool
) -> None:
    assert is_allowed([given], source, DB, 6379) is expected, sentence


def test_ports_and_ranges() -> None:
    given = policy(ingress=[{"ports": [{"port": 32000, "endPort": 32768}, {"protocol": "UDP"}]}])

    assert is_allowed([given], FRONT, DB, 32500)
    assert not is_allowed([given], FRONT, DB, 6379)
    assert is_allowed([given], FRONT, DB, 6379, "UDP")


def test_rules_of_all_policies_add_up_and_both_ends_have_to_agree() -> None:
    closed = policy(policyTypes=["Ingress"])
    opened = policy(ingress=[{"ports": [{"port": 6379}]}])
    front = {"podSelector": {"matchLabels": {"role": "frontend"}}, "policyTypes": ["Egress"]}
    shut_in = {"metadata": {"namespace": "default"}, "spec": front}

    assert is_allowed([closed, opened], FRONT, DB, 6379)
    assert not is_allowed([closed, opened, shut_in], FRONT, DB, 6379)
