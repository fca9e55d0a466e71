"""The same bytes to Django and to us: one answer, one change in the rows."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import Bench
from cases import Case, load
from compare import compare, differences
from differences import Allowances
from services import Pair

# Sites that have all that the common cases need, and what these are there.
OTHER_SITES = {"drf-defaults": Case.where_nobody_challenges, "prefix-bearer": Case.under_the_prefix}


def report(case: Case, faults: list[str]) -> None:
    """Fails with all that was found, and the request that shows it."""
    if faults:
        pytest.fail("\n".join([case.why, repr(case.request[:600]), *faults]), pytrace=False)


def test_answers_and_rows_are_djangos(
    bench: Bench,
    pair: Pair,
    kind: str,
    case: Case,
    ours: str,
    allowances: Allowances,
    counted: Counter[tuple[str, str]],
) -> None:
    if ours == "django":
        case = case.without_ours()
    rig = bench.rig(pair, kind, case.site, ours=ours)
    counted[f"Django {pair.django}", kind] += 1
    (first, second), faults = compare(rig, case)
    found = differences(first, second)
    judge = allowances.unexplained if ours == "binary" else allowances.random_only
    report(case, faults + [str(one) for one in judge(case.id, found)])


def test_user_models_of_a_sites_own_answer_as_auth_user_does(
    bench: Bench, pair: Pair, kind: str, user_site: str, case: Case, ours: str, allowances: Allowances
) -> None:
    if ours == "django":
        case = case.without_ours()
    (first, second), faults = compare(bench.rig(pair, kind, user_site, ours=ours), case)
    judge = allowances.unexplained if ours == "binary" else allowances.random_only
    report(case, faults + [str(one) for one in judge(case.id, differences(first, second))])


@pytest.mark.newest_only
@pytest.mark.parametrize("site", OTHER_SITES)
def test_other_sites_answer_the_common_cases_as_django_does(
    bench: Bench, pair: Pair, kind: str, common_case: Case, site: str, ours: str, allowances: Allowances
) -> None:
    case = OTHER_SITES[site](common_case)
    if ours == "django":
        case = case.without_ours()
    (first, second), faults = compare(bench.rig(pair, kind, site, ours=ours), case)
    judge = allowances.unexplained if ours == "binary" else allowances.random_only
    report(case, faults + [str(one) for one in judge(case.id, differences(first, second))])


@pytest.mark.newest_only
@pytest.mark.last
def test_django_under_another_hash_seed_differs_in_nothing_but_what_is_random(
    bench: Bench, pair: Pair, case: Case, allowances: Allowances
) -> None:
    case = case.without_ours()
    kind = "postgres" if case.databases == ("postgres",) else "sqlite"
    (first, second), faults = compare(bench.rig(pair, kind, case.site, ours="django"), case)
    report(case, faults + [str(one) for one in allowances.random_only(case.id, differences(first, second))])


@pytest.mark.last
def test_every_intended_difference_still_occurs(
    allowances: Allowances,
) -> None:
    """Only a run of every case can say so."""
    if allowances.seen != {case.id for case in load()}:
        pytest.skip("this run did not compare everything")
    unused = [f"{line.name}: {line.reason}" for line in allowances.unused()]
    assert not unused
