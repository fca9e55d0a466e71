"""Every branch of Django's and DRF's code on the way of a request has a case, or a reason why it has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import Bench
from branches import Branch, Unreached, measure, table
from services import Pair

pytestmark = pytest.mark.newest_only

ONE = Branch("m", "f", 10, 12, 15, "a/b")


@pytest.fixture(scope="module")
def measured(bench: Bench, pair: Pair) -> list[Branch]:
    return measure(bench, pair)


def test_every_branch_has_a_case_or_a_reason(measured: list[Branch]) -> None:
    faults = Unreached.read().faults(measured)
    assert not faults, "\n".join(faults)


def test_what_surely_happens_is_measured(measured: list[Branch]) -> None:
    """An inactive user's token: a branch that one file of cases is for."""
    (refused,) = [
        one
        for one in measured
        if one.place == "rest_framework.authentication.TokenAuthentication.authenticate_credentials"
        and one.case.startswith("authorization-keys/")
        and "inactive" in one.case
    ]
    assert f"`{refused.case}`" in table(measured)


@pytest.mark.parametrize(
    ("listed", "measured_one", "told"),
    [
        ({}, replace(ONE, case=""), "no case: m.f 2->5 (line 12)"),
        ({"branches": {"m.f": "2->5"}}, ONE, "listed, but a/b reaches m.f 2->5 (line 12)"),
        ({"functions": ["m.*"]}, ONE, "listed, but a/b reaches m.f 2->5 (line 12)"),
        ({"branches": {"m.f": "2->6"}}, ONE, "no such branch: m.f 2->6"),
        ({"functions": ["m.g*"]}, ONE, "no such function: m.g*"),
    ],
)
def test_a_wrong_list_is_seen(listed: dict[str, object], measured_one: Branch, told: str) -> None:
    assert Unreached([listed]).faults([measured_one]) == [told]


def test_a_right_list_is_not_blamed() -> None:
    unreached = [{"functions": ["m.g"], "branches": {"m.f": "2->exit"}}]
    ways = [ONE, replace(ONE, end=-10, case=""), replace(ONE, function="g", case="")]
    assert Unreached(unreached).faults(ways) == []
