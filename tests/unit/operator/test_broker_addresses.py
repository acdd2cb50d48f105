"""Which broker a queue gets, and that no namespace gets another one's."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest

from operator_builders import make_queue
from windlass.errors import ConfigurationError
from windlass_operator.broker_addresses import Address, is_address, resolve
from windlass_operator.observed import BrokerError
from windlass_operator.settings import OperatorSettings

KEY = "k" * 32
DEFAULT = "redis://admin:topsecret@redis.windlass.svc:6379/0"


def settings(**values: Any) -> OperatorSettings:
    return OperatorSettings(**{"secret_key": KEY, "default_broker_kind": "none", **values})


def secret(url: str | None = "redis://:pw@own:6379/0", **labels: str) -> dict[str, Any]:
    data = {} if url is None else {"url": base64.b64encode(url.encode()).decode()}
    return {"metadata": {"labels": labels or {"windlass.dev/broker": "allow"}}, "data": data}


def of(
    namespace: str = "shop",
    operator: OperatorSettings | None = None,
    secret_body: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> Address:
    queue = make_queue("emails", namespace, **spec)
    return resolve(queue, operator or settings(), DEFAULT, secret_body, labels or {})


EMBEDDED = settings(default_broker_kind="embedded")
EXTERNAL = settings(default_broker_kind="external", namespace="windlass")
BY_SECRET = {"broker": {"secretKeyRef": {"name": "own"}}}


def test_two_namespaces_get_different_users_and_passwords_on_the_embedded_broker() -> None:
    one, two = of("shop", EMBEDDED), of("bank", EMBEDDED)

    assert one.user is not None
    assert two.user is not None
    assert one.user[0] == "ks-shop"
    assert two.user[0] == "ks-bank"
    assert one.user[1] != two.user[1]
    assert one.broker_id != two.broker_id


def test_a_namespaces_address_has_nothing_of_the_operators_credentials() -> None:
    address = of("shop", EMBEDDED)
    parts = urlsplit(address.url)

    assert "topsecret" not in address.url
    assert "admin" not in address.url
    assert (parts.username, parts.hostname, parts.port) == ("ks-shop", "redis.windlass.svc", 6379)
    assert address.operator_url == DEFAULT


def test_passwords_are_the_same_after_a_restart_and_others_under_another_key() -> None:
    other = settings(default_broker_kind="embedded", secret_key="x" * 32)

    assert of("shop", EMBEDDED) == of("shop", EMBEDDED)
    assert of("shop", EMBEDDED).user != of("shop", other).user


def test_a_name_that_only_begins_like_another_is_another() -> None:
    assert len({of(name, EMBEDDED).user for name in ("a", "ab", "a-b", "ks-a")}) == 4


def test_an_embedded_broker_without_a_key_is_refused() -> None:
    """Passwords derived from nothing could be worked out by everybody."""
    with pytest.raises(ConfigurationError, match="needs secret_key"):
        OperatorSettings.from_env({"WINDLASS_OPERATOR_DEFAULT_BROKER_KIND": "embedded"})


def test_an_external_broker_is_offered_to_its_own_namespace_only() -> None:
    mine, theirs = of("windlass", EXTERNAL), of("shop", EXTERNAL)

    assert mine.url == DEFAULT
    assert theirs.error is BrokerError.NOT_OFFERED
    assert "defaultBroker.namespaces: [shop]" in theirs.detail
    assert theirs.url == theirs.operator_url == theirs.broker_id == ""
    assert "topsecret" not in theirs.detail


@pytest.mark.parametrize(
    ("sentence", "values", "labels", "is_offered"),
    [
        ("a namespace that is named", {"offered_namespaces": ("shop",)}, {}, True),
        ("one that is not", {"offered_namespaces": ("bank",)}, {}, False),
        ("one with the labels", {"offered_labels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ("one with one of two", {"offered_labels": {"a": "1", "b": "2"}}, {"a": "1"}, False),
        ("one with another value", {"offered_labels": {"a": "1"}}, {"a": "2"}, False),
        ("no labels asked for offer nothing", {"offered_labels": {}}, {"a": "1"}, False),
    ],
)
def test_whom_an_external_broker_is_offered_to(
    sentence: str, values: dict[str, Any], labels: dict[str, str], is_offered: bool
) -> None:
    operator = settings(default_broker_kind="external", namespace="windlass", **values)

    assert (of("shop", operator, labels=labels).error is None) == is_offered, sentence


def test_without_a_default_a_queue_has_to_name_a_broker() -> None:
    address = of()

    assert address.error is BrokerError.NOT_OFFERED
    assert "spec.broker" in address.detail


@pytest.mark.parametrize(
    ("sentence", "body", "error", "words"),
    [
        ("no Secret", None, BrokerError.SECRET_MISSING, "Secret 'own' is not in this namespace"),
        (
            "a Secret that its owner did not share",
            secret(other="x"),
            BrokerError.SECRET_NOT_SHARED,
            "kubectl label secret own windlass.dev/broker=allow",
        ),
        (
            "a label that says no",
            secret(**{"windlass.dev/broker": "deny"}),
            BrokerError.SECRET_NOT_SHARED,
            "is not shared",
        ),
        ("a Secret without the key", secret(None), BrokerError.SECRET_MISSING, "no key 'url'"),
        ("no address", secret("hello"), BrokerError.BAD_ADDRESS, "is no usable address"),
        ("brackets", secret("redis://:pw@[bad"), BrokerError.BAD_ADDRESS, "Expected redis://"),
        ("a port of words", secret("redis://:pw@h:x/0"), BrokerError.BAD_ADDRESS, "host[:port]"),
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_its_content(
    sentence: str, body: dict[str, Any] | None, error: BrokerError, words: str
) -> None:
    address = of(secret_body=body, **BY_SECRET)

    assert address.error is error, sentence
    assert words in address.detail
    assert "pw" not in address.detail
    assert address.url == ""


def test_a_secret_that_is_shared_is_used_as_it_is() -> None:
    address = of(secret_body=secret("  rediss://u:pw@own:6380/3\n"), **BY_SECRET)

    assert address.error is None
    assert address.url == address.operator_url == "rediss://u:pw@own:6380/3"
    assert address.user is None


def test_the_name_of_a_broker_tells_nothing_and_follows_its_credentials() -> None:
    one = of(secret_body=secret("redis://:one@own"), **BY_SECRET)
    two = of(secret_body=secret("redis://:two@own"), **BY_SECRET)
    elsewhere = of(secret_body=secret("redis://:one@own"),
                   operator=settings(secret_key="z" * 32), **BY_SECRET)  # fmt: skip

    assert len({one.broker_id, two.broker_id, elsewhere.broker_id}) == 3
    assert "one" not in one.broker_id


def test_a_queues_own_address_wins_over_every_default() -> None:
    for operator in (EMBEDDED, EXTERNAL):
        address = of(operator=operator, broker={"url": "redis://own"})
        assert address.url == "redis://own"
        assert address.user is None


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("redis://h", True),
        ("rediss://u:p@h:6379/0", True),
        ("redis://[::1]:6379/15", True),
        ("redis://h/", True),
        ("redis://", False),
        ("redis://:6379", False),
        ("redis://h:99999", False),
        ("redis://h:0", False),
        ("redis://h/zero", False),
        ("redis://[h", False),
        ("sentinel://u:p@h;h2:26380/1?master_name=main", True),
        ("rediss+cluster://u:p@h:7000,h2", True),
        ("sentinel://h", False),
        ("redis+cluster://h/1", False),
        ("http+x://h", False),
        ("http://h", False),
        ("", False),
    ],
)
def test_what_is_an_address(url: str, usable: bool) -> None:
    assert is_address(url) is usable
