"""Compression: caps before and after, bombs refused, damaged data is a clear error."""

from __future__ import annotations

import contextlib
import zlib
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recording_broker import broker_of, make_executor, opened, recording_app, request_for
from windlass import Windlass
from windlass.errors import (
    ConfigurationError,
    ContentDisallowed,
    DecodeError,
    MessageTooLarge,
    SecurityError,
)
from windlass.messages import Headers, Outgoing, address, encode_tail
from windlass.results import codec
from windlass.runtime.outcome import Buried, Finished
from windlass.serializers.compression import (
    TooLargeUnpackedError,
    compress,
    decompress,
    encoding_named,
)

ENCODINGS = ["zlib", "zstd"]
LONG = "windlass " * 10_000
BOMB_BYTES = 64 * 1024 * 1024


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(max_size=5000))
def test_what_was_compressed_comes_back(encoding: str, data: bytes) -> None:
    packed = compress(data, encoding)

    assert decompress(packed, encoding, 5000) == data
    if data:
        with pytest.raises(TooLargeUnpackedError, match="grow beyond"):
            decompress(packed, encoding, len(data) - 1)


@pytest.mark.parametrize("encoding", [*ENCODINGS, "gzip", "lzma", ""])
@given(data=st.binary(max_size=200))
@settings(max_examples=200)
def test_bytes_that_are_not_compressed_are_a_decode_error(encoding: str, data: bytes) -> None:
    try:
        decompress(data, encoding, 1000)
    except DecodeError:
        return
    assert encoding in (*ENCODINGS, "gzip")


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(at=st.integers(0, 60), byte=st.integers(0, 255), cut=st.integers(1, 60))
def test_damaged_data_is_a_decode_error_or_within_the_cap(
    encoding: str, at: int, byte: int, cut: int
) -> None:
    packed = bytearray(compress(LONG.encode(), encoding))
    with pytest.raises(DecodeError):
        decompress(bytes(packed[:-cut]), encoding, 1_000_000)
    packed[at % len(packed)] = byte
    with contextlib.suppress(DecodeError):
        assert len(decompress(bytes(packed), encoding, 1_000_000)) <= 1_000_000


def test_zstd_frame_that_asks_for_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(bytes(10)) + packer.flush()

    with pytest.raises(DecodeError):
        decompress(packed, "zstd", 1000)


def test_names_of_celery_are_known_and_others_say_what_there_is() -> None:
    assert [encoding_named(name) for name in ("gzip", "ZLIB", "zstd")] == ["zlib", "zlib", "zstd"]
    with pytest.raises(ConfigurationError, match=r"'bzip2'. Expected zlib \(gzip\) or zstd"):
        encoding_named("bzip2")


def add_echo(app: Windlass, **options: Any) -> Any:
    @app.task(name="echo", **options)
    def echo(text: str) -> str:
        return text

    return echo


def execute(app: Windlass, outgoing: Outgoing) -> Any:
    return make_executor(app).execute(request_for(outgoing))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_long_arguments_and_results_travel_small(encoding: str) -> None:
    app = recording_app(task_compression=encoding, result_compression=encoding)
    echo = add_echo(app)
    echo.delay(LONG)
    echo.delay("short")
    long, short = broker_of(app).sent
    assert len(long.tail) < 2000 < len(LONG)
    assert opened(long).headers.content_encoding == encoding
    assert opened(short).headers.content_encoding is None

    outcome = execute(app, long)
    assert isinstance(outcome, Finished)
    assert outcome.result is not None
    assert len(outcome.result) < 2000
    assert codec.decode_meta("", outcome.result, {"json"}).result == LONG
    assert codec.value_in(outcome.result, "j") is None
    with pytest.raises(DecodeError, match="grow beyond"):
        codec.decode_meta("", outcome.result, {"json"}, max_bytes=1000)
    assert codec.value_in(execute(app, short).result, "j") == b'"short"'


def test_call_wins_over_task_and_task_over_settings() -> None:
    app = recording_app(task_compression="zlib")
    echo = add_echo(app, compression="zstd")
    echo.delay(LONG)
    echo.apply_async((LONG,), compression="gzip")
    app.send_task("elsewhere", (LONG,))
    sent = [opened(each).headers.content_encoding for each in broker_of(app).sent]

    assert sent == ["zstd", "zlib", "zlib"]
    with pytest.raises(ConfigurationError, match="Expected zlib"):
        echo.apply_async((LONG,), compression="rar")


def test_cap_counts_the_size_before_compression() -> None:
    app = recording_app(task_compression="zlib", task_max_size_bytes=50_000)
    with pytest.raises(MessageTooLarge):
        add_echo(app).delay(LONG)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bomb_is_a_dead_letter_and_is_never_unpacked(encoding: str) -> None:
    if encoding == "zlib":
        bomb = compress(bytes(BOMB_BYTES), "zlib")
    else:
        bomb = zstandard.ZstdCompressor().compress(bytes(BOMB_BYTES))
    app = recording_app()
    add_echo(app)
    headers = Headers(content_encoding=encoding)
    outcome = execute(app, forged(headers, bomb))

    assert isinstance(outcome, Buried)
    assert outcome.reason == "too_large"


def test_retry_of_a_compressed_message_is_the_message_again() -> None:
    app = recording_app(task_compression="zlib")

    @app.task(bind=True, max_retries=5)
    def again(self: Any, text: str) -> str:
        if self.request.retries == 0:
            self.retry(countdown=0)
        if self.request.retries == 1:
            self.retry(countdown=0, args=(text + "!",), serializer="json")
        return text

    again.delay(LONG)
    first = execute(app, broker_of(app).sent[0])
    assert opened(first.message).headers.content_encoding == "zlib"
    second = execute(app, first.message)
    assert opened(second.message).headers.content_encoding is None
    third = execute(app, second.message)
    assert codec.decode_meta("", third.result, {"json"}).result == LONG + "!"


def forged(headers: Headers, body: bytes) -> Outgoing:
    return Outgoing(id="m", queue="q", tail=encode_tail(address("q", "echo"), headers, body))


def fuzzed() -> Any:
    app = recording_app()
    add_echo(app)
    return make_executor(app)


FUZZED = fuzzed()
types = st.sampled_from(
    ["application/json", "application/x-msgpack", "application/x-python-serialize", "text/x"]
)
shapes = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.just("__type__"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text() | st.sampled_from(["__type__", "__value__"]), inner, max_size=3
    ),
    max_leaves=8,
)  # fmt: skip
bodies = st.binary(max_size=100) | shapes.map(msgspec.json.encode)
bodies = bodies | bodies.map(zlib.compress) | shapes.map(msgspec.msgpack.encode)


@given(body=bodies, kind=types, encoding=st.sampled_from([None, "zlib", "zstd", "x"]))
@example(b"[[],{},true]", "application/json", None)
@example(zlib.compress(b"[[],{},true]"), "application/json", "zlib")
@settings(max_examples=300)
def test_whatever_a_message_holds_the_worker_ends_it_in_words(
    body: bytes, kind: str, encoding: str | None
) -> None:
    outcome = FUZZED.execute(
        request_for(forged(Headers(content_type=kind, content_encoding=encoding), body))
    )

    assert isinstance(outcome, Buried | Finished)


@given(data=st.binary(max_size=200), head=st.sampled_from([b"jF", b"m-", b"xF", b"pF", b""]))
@example(data=b"s", head=b"")
@settings(max_examples=300)
def test_whatever_an_outcome_holds_the_reader_gets_a_clear_error(data: bytes, head: bytes) -> None:
    header = msgspec.json.encode({"status": "SUCCESS", "encoding": "zlib"})
    raws = [head + data, head + len(header).to_bytes(4, "big") + header + data]
    for raw in raws:
        with contextlib.suppress(DecodeError, ContentDisallowed, SecurityError):
            codec.decode_meta("", raw, {"json", "msgpack"})
