"""README's two tables say what the cases and the list of differences say."""

from __future__ import annotations

import re

import pytest

from differences import Allowances
from readme import README, behaviours, differences, with_behaviours
from services import HERE, PROJECT

TEXT = README.read_text()
FILE = re.compile(r"`([\w./-]+\.(?:py|rs|toml))`")


def test_the_behaviours_are_those_of_the_cases() -> None:
    assert behaviours() in TEXT
    assert with_behaviours(TEXT) == TEXT, "run compat-tests/readme.py --write"


def test_a_table_that_is_not_up_to_date_is_seen() -> None:
    stale = TEXT.replace("| `options.toml` |", "| `other.toml` |")
    assert stale != TEXT
    assert with_behaviours(stale) == TEXT


def test_every_allowed_difference_is_a_row() -> None:
    rows = [row[0] for row in differences(TEXT)]
    assert len(rows) == len(set(rows)) > 10
    missing = {line.readme for line in Allowances().all} - set(rows)
    assert not missing


@pytest.mark.parametrize(
    "row", differences(TEXT), ids=lambda row: re.sub(r"[^a-z ]", "", row[0].lower())[:50]
)
def test_every_row_is_shown_by_an_allowed_difference_or_by_a_test(row: list[str]) -> None:
    assert len(row) == 4
    allowed = [line for line in Allowances().all if line.readme == row[0]]
    named = FILE.findall(row[-1])
    assert allowed or named, "no test shows it"
    for file in named:
        assert (HERE / file).exists() or (PROJECT / file).exists(), file
    for line in allowed:
        folder = line.case.split("/")[0]
        assert folder in ("*", "") or f"cases/{folder}.toml" in named, (line.name, named)
