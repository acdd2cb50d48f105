"""One sealed piece: it opens where it belongs, with a key that is known, and unaltered only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealing_keys import write_keys
from windlass.errors import ConfigurationError, SecurityError
from windlass.sealing import keys
from windlass.sealing.keys import KeyRing
from windlass.sealing.seals import Seals

MODES = [("require", "off"), ("off", "require"), ("require", "require"), ("sign", "encrypt")]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keys(tmp_path_factory.mktemp("keys") / "keys", ["new", "old"])


def seals(path: Path, signing: str = "require", encryption: str = "off") -> Seals:
    return Seals(signing, str(path), encryption, str(path))


@pytest.mark.parametrize(("signing", "encryption"), MODES)
def test_every_flipped_bit_is_refused(path: Path, signing: str, encryption: str) -> None:
    mine = seals(path, signing, encryption)
    sealed = mine.seal(b"here", b"[[1],{},{}]")
    assert mine.open(b"here", sealed) == b"[[1],{},{}]"
    refused = set()
    for bit in range(8 * len(sealed)):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SecurityError) as error:
            mine.open(b"here", bytes(altered))
        refused.add(error.value.reason)

    assert "bad_signature" in refused
    assert refused <= {"bad_signature", "unknown_key", "unsigned", "unencrypted"}


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=80), place=st.binary(max_size=20), other=st.binary(max_size=20))
def test_it_opens_at_its_place_only(path: Path, data: bytes, place: bytes, other: bytes) -> None:
    mine = seals(path, "require", "require")
    sealed = mine.seal(place, data)

    assert mine.open(place, sealed) == data
    if other != place:
        with pytest.raises(SecurityError, match="altered, or moved"):
            mine.open(other, sealed)


@settings(max_examples=300, deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_is_refused_in_words(path: Path, noise: bytes) -> None:
    with pytest.raises(SecurityError):
        seals(path, "require", "require").open(b"p", noise)


def test_a_cut_piece_is_refused(path: Path) -> None:
    mine = seals(path, "require", "require")
    sealed = mine.seal(b"p", b"data")

    for size in range(len(sealed)):
        with pytest.raises(SecurityError):
            mine.open(b"p", sealed[:size])


def test_nothing_of_what_is_encrypted_can_be_read(path: Path) -> None:
    data = b"card 4111-1111-1111-1111"
    sealed = seals(path, "off", "encrypt").seal(b"p", data)

    assert not any(data[at : at + 6] in sealed for at in range(len(data) - 6))
    assert sealed != seals(path, "off", "encrypt").seal(b"p", data)


def test_repeatable_pieces_are_equal_and_open(path: Path) -> None:
    mine = seals(path, "sign", "encrypt")
    first = mine.seal(b"p", b"data", is_repeatable=True)

    assert first == mine.seal(b"p", b"data", is_repeatable=True)
    assert first != mine.seal(b"p", b"date", is_repeatable=True)
    assert mine.open(b"p", first) == b"data"


@pytest.mark.parametrize(
    ("sender", "reason"),
    [(("verify", "encrypt"), "unsigned"), (("sign", "off"), "unencrypted")],
)
def test_what_is_required_and_missing_is_named(
    path: Path, sender: tuple[str, str], reason: str
) -> None:
    sealed = seals(path, *sender).seal(b"p", b"data")
    with pytest.raises(SecurityError) as error:
        seals(path, "require", "require").open(b"p", sealed)

    assert error.value.reason == reason


def test_before_it_is_required_what_is_bare_passes(path: Path) -> None:
    seals(path, "sign", "encrypt").refuse_bare()
    for mode, reason in ((("require", "off"), "unsigned"), (("off", "require"), "unencrypted")):
        with pytest.raises(SecurityError) as error:
            seals(path, *mode).refuse_bare()
        assert error.value.reason == reason


def test_keys_rotate_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    path = write_keys(tmp_path / "keys", ["a"])
    mine = seals(path)
    by_a = mine.seal(b"p", b"data")
    write_keys(path, ["b", "a"])
    by_b = mine.seal(b"p", b"data")
    assert (b"\x01\x01a" in by_a, b"\x01\x01b" in by_b) == (True, True)
    assert [mine.open(b"p", each) for each in (by_a, by_b)] == [b"data", b"data"]
    write_keys(path, ["b"])

    assert mine.open(b"p", by_b) == b"data"
    with pytest.raises(SecurityError, match=r"names key 'a', .* Expected one of: b\."):
        mine.open(b"p", by_a)


def test_a_file_that_went_bad_leaves_the_keys_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.0)
    path = write_keys(tmp_path / "keys", ["a"])
    ring = KeyRing(str(path), "message_signing_keys", b"p")
    path.write_text("nonsense")
    assert ring.first.id == b"a"
    path.unlink()

    assert ring.find(b"a") is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no key"),
        ("secret-without-an-id", "line 1"),
        ("a:***", "not base64"),
        ("a:c2hvcnQ=", "5 bytes"),
        ("a:" + "QUFB" * 12 + "\na:" + "QUFB" * 12, "one id twice"),
    ],
)
def test_a_bad_file_is_refused_without_showing_a_secret(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as error:
        KeyRing(str(path), "message_signing_keys", b"p")

    assert "message_signing_keys" in str(error.value)
    assert not any(part in str(error.value) for part in ("c2hvcnQ", "QUFB"))


def test_keys_that_are_not_named_are_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="message_signing_keys names no file"):
        Seals("sign", None, "off", None)


def test_a_key_does_not_show_its_secret(path: Path) -> None:
    key = KeyRing(str(path), "s", b"p").first

    assert repr(key) == "Key('new', ***)"


def test_one_file_gives_each_purpose_its_own_secret(path: Path) -> None:
    rings = [KeyRing(str(path), "s", purpose) for purpose in (b"message_signing", b"other")]

    assert rings[0].first.secret != rings[1].first.secret
