"""The same bytes to Django and to us: one answer, one change in the rows."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import Bench, Rig
from cases import Case, load
from compare import compare, differences
from differences import Allowances
from services import Pair


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


def faults_on(rig: Rig, site: str, ours: str, allowances: Allowances) -> list[str]:
    """What is wrong with the seed's cases on another site, and with what they say of it."""
    seed = [case for case in load() if case.suits(rig.our_db.table)]
    versions = rig.pair.django, rig.our_db.kind, rig.pair.python_version()
    fitting = [case for case in seed if case.applies(*versions)]
    assert len(fitting) > 600
    judge = allowances.unexplained if ours == "binary" else allowances.random_only
    found = []
    for case in fitting:
        on_site = case.on(site) if ours == "binary" else case.on(site).without_ours()
        reason = case.gap or case.not_on.get(site)
        if reason and ours == "django":
            continue
        (first, second), faults = compare(rig, on_site)
        faults += [str(one) for one in judge(case.id, differences(first, second))]
        if reason:
            faults = [] if faults else [f"it holds there, and it is said not to: {reason}"]
        found += [f"{case.id}: {fault}" for fault in faults]
    return found


def test_other_sites_answer_all_cases_of_the_seed_as_django_does(
    bench: Bench, pair: Pair, kind: str, other_site: str, ours: str, allowances: Allowances
) -> None:
    found = faults_on(bench.rig(pair, kind, other_site, ours=ours), other_site, ours, allowances)
    assert not found, "\n".join(found)


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
