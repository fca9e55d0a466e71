"""All cases of a site with Django's own settings, on PostgreSQL, where something stands between it and us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench import Bench, Rig
from cases import Case, load
from compare import compare, differences
from databases import Database
from differences import Allowances
from services import Orm, Pair, start_django, start_exported
from sites import SITES


def plain_rig(
    bench: Bench,
    pair: Pair,
    first: Database,
    second: Database,
    url: str,
    env: Mapping[str, str] = {},
    **further: object,
) -> Rig:
    """Django on the first database, and us by that URL on the second; with further settings on our side."""
    settings = SITES["plain"]
    return Rig(
        pair,
        start_django(pair, first.url, settings, bench.log("django")),
        first,
        start_exported(pair, url, settings | further, bench.log("ours"), **env),
        second,
        Orm(pair, first.url, settings),
    )


def cases_of_a_plain_site(pair: Pair) -> list[Case]:
    """The cases of a site with Django's own settings, all of them, on PostgreSQL."""
    versions = pair.django, "postgres", pair.python_version()
    plain = [case for case in load() if case.site == "plain" and case.applies(*versions)]
    assert len(plain) > 400
    return plain


def faults_of_a_plain_site(rig: Rig, allowances: Allowances) -> list[str]:
    """What is wrong with these cases."""
    return faults_of(rig, cases_of_a_plain_site(rig.pair), allowances)


def faults_of(rig: Rig, cases: Iterable[Case], allowances: Allowances) -> list[str]:
    """The guards that a case did not meet, and the differences that nothing explains."""
    found = []
    for case in cases:
        (django, ours), faults = compare(rig, case)
        wrong = allowances.unexplained(case.id, differences(django, ours))
        found += [f"{case.id}: {fault}" for fault in [*faults, *map(str, wrong)]]
    return found
