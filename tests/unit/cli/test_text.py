"""Tables, ages and durations."""

from __future__ import annotations

import click
import pytest

from windlass.cli import text


def test_table_puts_numbers_to_the_right_and_text_to_the_left() -> None:
    table = text.table(("QUEUE", "OPEN"), [["default", 1234], ["b", 5]])

    assert table.splitlines() == ["QUEUE     OPEN", "default  1,234", "b            5"]


def test_table_without_rows_is_its_headings() -> None:
    assert text.table(("A", "B"), []) == "A  B"


def test_missing_value_is_a_dash() -> None:
    assert text.table(("TASK",), [[None]]).splitlines()[1] == "-"


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0, "-"),
        (850, "850ms"),
        (12_000, "12s"),
        (310_000, "5m10s"),
        (3 * 3_600_000 + 120_000, "3h02m"),
        (2 * 86_400_000 + 4 * 3_600_000, "2d04h"),
    ],
)
def test_age_reads_in_its_largest_two_units(milliseconds: int, expected: str) -> None:
    assert text.age(milliseconds) == expected


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("45s", 45), ("1.5m", 90), ("12h", 43_200), ("7d", 604_800), ("2W", 1_209_600)],
)
def test_duration_is_a_number_with_a_unit(written: str, seconds: float) -> None:
    assert text.Duration().convert(written, None, None) == seconds


@pytest.mark.parametrize("written", ["", "soon", "5 years", "-3", "1h30m"])
def test_what_is_no_duration_is_refused_with_examples(written: str) -> None:
    with pytest.raises(click.BadParameter, match=r"Expected e\.g\. 90, 45s, 30m, 12h, 7d"):
        text.Duration().convert(written, None, None)


def test_names_are_split_at_commas_and_each_is_kept_once() -> None:
    assert text.NameList().convert("a, b,,a", None, None) == ("a", "b")
    with pytest.raises(click.BadParameter, match="names nothing"):
        text.NameList().convert(" ,", None, None)


def test_moment_is_utc() -> None:
    assert text.moment(0) == "-"
    assert text.moment(1_700_000_000_000) == "2023-11-14T22:13:20Z"
