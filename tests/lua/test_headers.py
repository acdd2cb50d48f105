"""The header of a script is its contract: it is compared with what the script does."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from lua_headers import declared, header_of, text_of, used
from redis_server import RedisServer
from windlass.redis_store.scripts import names, script

PARTS = ("KEYS", "ARGV", "Returns", "Invariants", "Complexity")
CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")


@pytest.mark.parametrize("name", names())
def test_header_says_purpose_keys_arguments_returns_invariants_complexity_in_this_order(
    name: str,
) -> None:
    header = header_of(name)

    order = [part for line in header for part in PARTS if re.match(rf"-- {part}[\[:]", line)]

    assert not re.match(r"-- (KEYS|ARGV|@)", header[0]), "the first line says what it is for"
    assert set(PARTS) == set(order)
    assert order == sorted(order, key=PARTS.index)


@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
@pytest.mark.parametrize("name", names())
def test_declared_indexes_have_no_gap_and_reach_exactly_what_is_used(name: str, kind: str) -> None:
    fixed, is_open = declared(name, kind)
    named, is_computed = used(name, kind)

    assert frozenset(range(1, len(fixed) + 1)) == fixed
    assert named <= fixed
    assert is_computed or named == fixed, "declared and never used"
    assert is_computed or not is_open


@pytest.mark.parametrize("name", names())
def test_script_is_short_and_walks_no_keyspace(name: str) -> None:
    assert text_of(name).count("\n") <= 220
    assert not {"KEYS", "SCAN", "RANDOMKEY", "FLUSHALL", "FLUSHDB"} & set(
        CALL.findall(script(name).source)
    )


def test_every_include_is_used_and_includes_nothing_itself() -> None:
    library = files("windlass.redis_store").joinpath("lua", "lib")
    wanted = {name for of in names() for name in re.findall(r"@include (\w+)", text_of(of))}

    assert {f.name.removesuffix(".lua") for f in library.iterdir()} == wanted
    for name in wanted:
        assert "@include" not in library.joinpath(f"{name}.lua").read_text(encoding="utf-8")


def test_every_script_compiles_on_every_server_under_its_own_sha(
    each_redis_server: RedisServer,
) -> None:
    client = each_redis_server.client()

    for name in names():
        assert script(name).sha.decode() == client.script_load(script(name).source)
