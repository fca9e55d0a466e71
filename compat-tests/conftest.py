"""Options, the bench, and the closing lines of a run."""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import cases
import services
import sites
from bench import Bench
from differences import Allowances

KINDS = ("sqlite", "postgres")
COUNTED = pytest.StashKey[Counter[tuple[str, str]]]()
ALL_CASES = cases.load()
PAIRS = services.pairs()
PYTHONS = {pair: pair.python_version() for pair in PAIRS}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--ours=django` puts a second Django, under another hash seed, into our place."""
    parser.addoption("--ours", choices=["binary", "django"], default="binary")
    parser.addoption("--pair", action="append", help="only this Django (may be repeated)")
    parser.addoption("--database", action="append", choices=KINDS, help="only this kind of database")
    parser.addoption("--counts", type=Path, help="where the closing lines go as well")
    parser.addoption("--times", type=int, help="how often a token is taken away (scripts/bench revoke)")
    parser.addoption("--run-folder", type=Path, help="where databases and logs go (kept)")


def pytest_configure(config: pytest.Config) -> None:
    """A SIGTERM ends the run as Ctrl-C does, so that all services are stopped."""
    config.stash[COUNTED] = Counter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def chosen_pairs(config: pytest.Config) -> list[services.Pair]:
    """The installed pairs, or those asked for."""
    wanted = config.getoption("pair")
    return [pair for pair in services.pairs() if not wanted or pair.django in wanted]


def chosen_kinds(config: pytest.Config) -> list[str]:
    """Both kinds of database, or those asked for."""
    return [kind for kind in KINDS if kind in (config.getoption("database") or KINDS)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`pair`, `kind` and `case` are the axes of the comparison; `user_site` is one for user models,
    `other_site` one for all but the seed."""
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    fixed = {name.strip() for one in named for name in (one.split(",") if isinstance(one, str) else one)}
    names = [
        name
        for name in ("pair", "kind", "user_site", "other_site", "case")
        if name in metafunc.fixturenames and name not in fixed
    ]
    values: dict[str, list[Any]] = {
        "pair": chosen_pairs(metafunc.config),
        "kind": chosen_kinds(metafunc.config),
        "user_site": list(sites.USER_SITES),
        "other_site": list(sites.OTHER_SITES),
        "case": ALL_CASES,
    }
    if "newest_only" in metafunc.definition.keywords:
        del values["pair"][1:]
    # Gaps are ours, not a second Django's.
    gaps = metafunc.config.getoption("ours") == "binary" and "ours" in metafunc.fixturenames
    axes = [dict(zip(names, row, strict=True)) for row in product(*(values[name] for name in names))]
    rows = [param(axis, gaps) for axis in axes if applies(**axis)]
    metafunc.parametrize(names, rows, scope="session")


def applies(
    pair: services.Pair | None = None,
    kind: str | None = None,
    user_site: str | None = None,
    other_site: str | None = None,
    case: cases.Case | None = None,
) -> bool:
    """A case may hold for some pairs, databases or sites only (on the oldest pair one site, on SQLite)."""
    site = user_site or other_site
    is_oldest = pair in PAIRS[-1:] and kind == "sqlite"
    if site and pair not in PAIRS[:1] and not (site == "email-user" and is_oldest):
        return False
    django, python = (pair.django, PYTHONS[pair]) if pair else (None, None)
    return case is None or case.applies(django, kind, python)


def param(axis: dict[str, Any], gaps: bool) -> Any:
    """A known gap is an expected failure with a reason, and fails when it closes."""
    case = axis.get("case")
    marks = [pytest.mark.xfail(strict=True, reason=case.gap)] if gaps and case and case.gap else []
    texts = {"pair": "{.django}", "kind": "{}", "user_site": "{}", "other_site": "{}", "case": "{.id}"}
    name = "-".join(texts[key].format(value) for key, value in axis.items())
    return pytest.param(*axis.values(), id=name, marks=marks)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Pairs, then databases, then the rest: a rig is started once. What judges the run comes last."""
    pairs, kinds = [pair.django for pair in chosen_pairs(config)], chosen_kinds(config)

    def order(item: pytest.Item) -> tuple[int, int, int]:
        pair, kind = (axes(item).get(name) for name in ("pair", "kind"))
        last = "last" in item.keywords
        return (last, pairs.index(pair.django) if pair else -1, kinds.index(kind) if kind else -1)

    # A test may name its own kind.
    unwanted = [item for item in items if axes(item).get("kind", kinds[0]) not in kinds]
    config.hook.pytest_deselected(items=unwanted)
    items[:] = sorted((item for item in items if item not in unwanted), key=order)


def axes(item: pytest.Item) -> dict[str, Any]:
    """The pair, the kind and the case of a test, as far as it has them."""
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


@pytest.fixture(scope="session")
def bench(pytestconfig: pytest.Config) -> Iterator[Bench]:
    """All services of the run; the folder goes with them."""
    kept: Path | None = pytestconfig.getoption("run_folder")
    with tempfile.TemporaryDirectory(prefix="compat-tests-", ignore_cleanup_errors=True) as folder:
        bench = Bench(kept or Path(folder))
        try:
            yield bench
        finally:
            bench.stop()


@pytest.fixture(scope="session")
def ours(pytestconfig: pytest.Config) -> str:
    """Who stands in our place: `binary`, or `django` to prove the harness."""
    name: str = pytestconfig.getoption("ours")
    if name == "binary" and not services.BINARY.exists():
        pytest.fail(f"{services.BINARY} is not built", pytrace=False)
    return name


@pytest.fixture(scope="session")
def binary(ours: str) -> str:
    """For tests that make sense with our binary only."""
    if ours != "binary":
        pytest.skip("needs our binary")
    return ours


@pytest.fixture(scope="session")
def allowances() -> Allowances:
    """The list of intended differences, with its counter."""
    return Allowances()


@pytest.fixture(scope="session")
def counted(pytestconfig: pytest.Config) -> Counter[tuple[str, str]]:
    """How many cases were compared, by Django and database."""
    return pytestconfig.stash[COUNTED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was really compared with what."""
    other = "a second Django" if config.getoption("ours") == "django" else "drf-authtoken"
    lines = [
        f"{django} on {kind}: {number} differential cases against {other}"
        for (django, kind), number in config.stash[COUNTED].items()
    ]
    for line in lines:
        terminalreporter.write_line(line)
    if config.getoption("counts"):
        config.getoption("counts").write_text("".join(f"{line}\n" for line in lines))
