"""Which branches of Django and DRF the cases reach: the real site plays every case under coverage.py.

python branches.py [--table FILE]    names the branches without a case; the table names the case of each other
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

import services
import wire
from bench import Bench
from cases import Case, load
from services import HERE, SITE, Pair, site_env, start_django
from sites import SITES

FILE = HERE / "branches.toml"


@dataclass(frozen=True)
class Branch:
    """One way out of a line that has several, and a case that takes it."""

    module: str
    function: str
    first: int
    start: int
    end: int
    case: str

    @property
    def place(self) -> str:
        """The function, found by its Python path."""
        return f"{self.module}.{self.function}"

    @property
    def way(self) -> str:
        """From line to line, counted from the first of the function; `exit` is its end."""
        return f"{self.start - self.first}->{self.end - self.first if self.end > 0 else 'exit'}"

    def __str__(self) -> str:
        return f"{self.place} {self.way} (line {self.start})"


def address_of(place: int) -> str:
    """An address of this machine for each case, so that the server knows whose request it is."""
    return f"127.1.{place // 250}.{place % 250 + 1}"


def measure(bench: Bench, pair: Pair) -> list[Branch]:
    """Plays every case of that pair on SQLite."""
    python = pair.python_version()
    cases = [case for case in load() if case.applies(pair.django, "sqlite", python)]
    numbered = sorted(enumerate(cases), key=lambda item: item[1].site)
    folder = bench.folder / bench.name("coverage")
    folder.mkdir()
    file = str(folder / "data")
    for site, group in groupby(numbered, key=lambda item: item[1].site):
        play_all(bench, pair, site, list(group), file)
    return reported(pair, cases, file)


def play_all(bench: Bench, pair: Pair, site: str, cases: list[tuple[int, Case]], file: str) -> None:
    """All cases of one site; the measurement is written when the site ends."""
    with closing(bench.database(pair, "sqlite")) as database:
        told = {"COVERAGE_FILE": file, "COVERAGE_START": "1"}
        log = bench.log("covered")
        with start_django(pair, database.url, SITES[site], log, application="covered", **told) as service:
            for place, case in cases:
                database.reset(case.users, case.sessions)
                wire.exchange(
                    service.address, case.request, half_close=case.half_close, source=address_of(place)
                )


def reported(pair: Pair, cases: list[Case], file: str) -> list[Branch]:
    """The measurement, read by the Python that made it."""
    names = {address_of(place): case.id for place, case in enumerate(cases)}
    env = site_env("sqlite:////unused", {}) | {"COVERAGE_FILE": file}
    argv = [str(pair.python), "branches.py"]
    done = subprocess.run(argv, cwd=SITE, env=env, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise AssertionError(done.stderr)
    found = []
    for line in map(json.loads, done.stdout.splitlines()):
        client = line.pop("client")
        found.append(Branch(case=names[client] if client else "", **line))
    return found


def named(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The single branches of these entries: function and way."""
    return {
        (place, way)
        for entry in entries
        for place, ways in entry.get("branches", {}).items()
        for way in ways.split()
    }


class Unreached:
    """The list of what no request to these endpoints can reach, with the reasons."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.functions = [name for entry in entries for name in entry.get("functions", [])]
        self.branches = named(entries)

    @classmethod
    def read(cls) -> Unreached:
        """The committed list."""
        return cls(tomllib.loads(FILE.read_text())["unreached"])

    def lists(self, branch: Branch) -> bool:
        """Whether this branch is on it."""
        in_function = any(fnmatchcase(branch.place, pattern) for pattern in self.functions)
        return in_function or (branch.place, branch.way) in self.branches

    def faults(self, measured: list[Branch]) -> list[str]:
        """Branches without a case, listed ones with one, and lines of the list that name nothing."""
        found = [f"no case: {one}" for one in measured if not one.case and not self.lists(one)]
        found += [f"listed, but {one.case} reaches {one}" for one in measured if one.case and self.lists(one)]
        places = {one.place for one in measured}
        for pattern in self.functions:
            if not any(fnmatchcase(place, pattern) for place in places):
                found.append(f"no such function: {pattern}")
        ways = {(one.place, one.way) for one in measured}
        return found + [f"no such branch: {place} {way}" for place, way in sorted(self.branches - ways)]


def table(measured: list[Branch]) -> str:
    """A row a branch."""
    rows = ["| function | line | to | case |", "|---|---|---|---|"]
    for one in measured:
        end = one.end if one.end > 0 else "exit"
        rows.append(f"| `{one.place}` | {one.start} | {end} | {one.case and f'`{one.case}`'} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Prints what has no case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, help="where the table of all branches goes (Markdown)")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="branches-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder))
        with ExitStack() as ending:
            ending.callback(bench.stop)
            measured = measure(bench, services.pairs()[0])
    if told.table:
        told.table.write_text(table(measured))
    faults = Unreached.read().faults(measured)
    reached = sum(bool(one.case) for one in measured)
    print(*faults, f"{len(measured)} branches, {reached} with a case, {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
