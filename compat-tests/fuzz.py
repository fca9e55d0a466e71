"""The fuzzer: seeded requests to Django and to us, answers and rows compared; see `--help`."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE
from compare import Difference, Outcome, differences
from databases import Database, Snapshot, User
from differences import Allowances
from fuzz_requests import Request, requests
from fuzz_shrink import shrunk
from services import Pair, Service, pairs, start_binary, start_django
from sites import SITES
from wire import Response, WireError

ITERATIONS = 5
SETTINGS: dict[str, Any] = {"PBKDF2_ITERATIONS": ITERATIONS}
BATCH, CLIENTS = 250, 4
NOBODY = Snapshot({}, {})


def person(name: str, password: str, token: str | None = None, **fields: Any) -> User:
    """A user with a hash of this site's, or of another number of iterations."""
    iterations = fields.pop("iterations", ITERATIONS)
    return User(name, password, pbkdf2("sha256", iterations, SALT, password), token, **fields)


PEOPLE = [
    person(ALICE.name, ALICE.password, ALICE.token),
    person("bob", "builder"),
    person("carol", "christmas", "ca01" * 10, active=False),
    User("dan", "", "!" + "d" * 40, "da0" * 13 + "0"),
    person("mallory", "outdated", iterations=3),
    person("12345", "67890"),
    person("1.0", "1.0", "short"),
    person("müller", "straße", "schlüssel"),
    person("名前", "пароль", "ключ"),
    person("x+y", "100%"),
    person("a&b=c", 'quo"te', "\ufeff"),
    person("erin", " ", active=False),
]


def stage(answer: Response) -> str:
    """How far a request came with Django: the check that answered it."""
    named = answer.header("x-content-type-options") is not None
    is_json = answer.header("content-type") == "application/json"
    if answer.status == 0 or not named:
        return "server"
    if answer.status == 404:
        return "404 format" if is_json else "404 path"
    if answer.status == 400 and not is_json:
        return "400 host" if answer.header("x-frame-options") is None else "400 limit"
    if answer.status == 400:
        return "400 parse" if answer.body.lstrip(b"{ \n").startswith(b'"detail"') else fault(answer.body)
    if answer.status == 200:
        return success(answer.body)
    return str(answer.status)


def fault(body: bytes) -> str:
    """A field's fault, or the whole login's."""
    return "400 credentials" if b"Unable to log in" in body else "400 fields"


def success(body: bytes) -> str:
    """What was asked for: a token, the secret, what the view can, or the page."""
    for mark, name in ((b'"token":', "token"), (b'"message":', "secret"), (b'"parses"', "options")):
        if mark in body and b"<html" not in body:
            return f"200 {name}"
    return "200 page"


STAGES = [
    "301", "404 path", "400 host", "400 limit", "404 format", "406", "401", "405", "415", "400 parse",
    "400 fields", "400 credentials", "200 options", "200 page", "200 secret", "200 token",
]  # fmt: skip


@dataclass
class Finding:
    """A request that is answered in two ways."""

    request: Request
    found: list[Difference]
    note: str = ""

    def __str__(self) -> str:
        return "\n".join([f"{bytes(self.request)!r} {self.note}", *(f"  {one}" for one in self.found)])


@dataclass
class Side:
    """One service on its own database."""

    service: Service
    database: Database
    before: Snapshot = NOBODY

    def begin(self) -> None:
        """The people as they are at the start."""
        self.database.reset(PEOPLE)
        self.before = self.database.snapshot()

    def ask(self, request: bytes) -> Response:
        """The answer; none at all has the status 0."""
        try:
            return wire.exchange(self.service.address, request)
        except (WireError, OSError) as error:
            return Response(0, f"{type(error).__name__}: {error}"[:60], (), b"")

    def ask_all(self, batch: list[Request]) -> list[Response]:
        """Some at the same time."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda one: self.ask(bytes(one)), batch))

    def unmasked(self, answers: list[Response]) -> tuple[list[Response], Snapshot]:
        """The answers, the keys made meanwhile by their owners' names; and the rows now."""
        after = self.database.snapshot()
        new = {
            key: after.name_of(row["user_id"])
            for key, row in after.tokens.items()
            if key not in self.before.tokens
        }
        for key, name in new.items():
            there, instead = key.encode(), f"<new token of {name}>".encode()
            answers = [replaced(answer, there, instead) for answer in answers]
        return answers, after


def replaced(answer: Response, there: bytes, instead: bytes) -> Response:
    """The answer with one text in its body exchanged."""
    if there not in answer.body:
        return answer
    body = answer.body.replace(there, instead)
    return Response(answer.status, answer.reason, answer.headers, body, answer.surplus)


def outcome(answer: Response, before: Snapshot = NOBODY, after: Snapshot = NOBODY) -> Outcome:
    """An answer in the comparator's terms."""
    now = datetime.now(UTC)
    return Outcome(answer, before, after, now, now)


@dataclass
class Exchange:
    """One request and its two answers, with what differs in them and was not intended."""

    request: Request
    theirs: Response
    mine: Response
    found: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        """What was sent and what Django answered, for the list of intended differences."""
        answer = self.theirs
        head = [
            f"HTTP/1.1 {answer.status} {answer.reason}",
            *(": ".join(pair) for pair in answer.headers),
            "",
        ]
        return "\n".join([bytes(self.request).decode("latin-1"), *head, answer.body.decode("latin-1")])

    def may_write(self) -> bool:
        """Whether it came as far as the password on either side: only then rows may change."""
        return bool({stage(self.theirs), stage(self.mine)} & {"200 token", "400 credentials"})


NOTHING = Response(0, "", (), b"")
Tamper = Callable[[Response], Response]


@dataclass
class Fuzzer:
    """Both sides, the list of intended differences, and what was found so far."""

    django: Side
    ours: Side
    tamper: Tamper = lambda answer: answer
    allowances: Allowances = field(default_factory=Allowances)
    stages: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[int, int]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    known: Counter[str] = field(default_factory=Counter)

    def run(self, batch: list[Request]) -> None:
        """One batch, with the rows as at the start; what differs is tried alone, and made smaller."""
        exchanges, rows = self.compare(batch)
        self.count(exchanges)
        suspects = [one for one in exchanges if one.found]
        if rows:
            suspects += [one for one in exchanges if not one.found and one.may_write()]
        intended: set[str] = set()
        certain = False
        for one in suspects:
            found, excused = self.alone(one.request)
            intended |= excused
            if found:
                certain = True
                self.add(one.request, found)
        rest = [one for one in rows if one.field not in intended]
        if not certain and (rest or any(one.found for one in suspects)):
            first = suspects[0] if suspects else exchanges[0]
            self.findings.append(Finding(first.request, first.found or rest, "(in its batch only)"))

    def count(self, exchanges: list[Exchange]) -> None:
        """How far they came."""
        for one in exchanges:
            self.stages[stage(one.theirs)] += 1
            if stage(one.theirs) == "server":
                self.refused[one.theirs.status, one.mine.status] += 1

    def add(self, request: Request, found: list[Difference]) -> None:
        """A new finding, made smaller; of one that looks like a former one only the number."""
        texts = [f"{one.field} {one.django[:300]} {one.ours[:300]}" for one in found]
        look = re.sub("[0-9]+", "0", "\n".join(texts))
        self.known[look] += 1
        if self.known[look] == 1:
            smaller = shrunk(request, found, lambda one: self.alone(one)[0])
            self.findings.append(Finding(smaller, self.alone(smaller)[0] or found))

    def alone(self, request: Request) -> tuple[list[Difference], set[str]]:
        """The unintended differences of one request, and the columns in which one is intended."""
        (one,), rows = self.compare([request])
        if not one.found and stage(one.theirs) == "server":
            return [], {row.field for row in rows}
        found = self.allowances.unexplained_exchange(str(one), rows)
        return one.found + found, {row.field for row in rows} - {row.field for row in found}

    def compare(self, batch: list[Request]) -> tuple[list[Exchange], list[Difference]]:
        """All answers, and the differences of the rows after all of them."""
        self.django.begin()
        self.ours.begin()
        with ThreadPoolExecutor(2) as pool:
            theirs, mine = pool.map(lambda side: side.ask_all(batch), (self.django, self.ours))
        mine = [self.tamper(answer) for answer in mine]
        theirs, their_rows = self.django.unmasked(theirs)
        mine, our_rows = self.ours.unmasked(mine)
        exchanges = [Exchange(*one) for one in zip(batch, theirs, mine, strict=True)]
        for one in exchanges:
            one.found = self.judged(one)
        first, second = (
            outcome(NOTHING, side.before, rows)
            for side, rows in ((self.django, their_rows), (self.ours, our_rows))
        )
        return exchanges, differences(first, second)

    def judged(self, one: Exchange) -> list[Difference]:
        """What differs and was not intended; an error of our server's is never intended."""
        if one.mine.status >= 500 or one.mine.status == 0:
            return [Difference("status", str(one.theirs.status), f"{one.mine.status} {one.mine.reason}")]
        if stage(one.theirs) == "server":
            return []
        found = differences(outcome(one.theirs), outcome(one.mine))
        return self.allowances.unexplained_exchange(str(one), found)

    def missed(self) -> list[str]:
        """The stages that no request came to."""
        return [name for name in STAGES if not self.stages[name]]

    def report(self) -> str:
        """How many requests reached each stage, what was intended, what was found."""
        lines = [f"{sum(self.stages.values())} requests, answered by Django at these stages:"]
        lines += [
            f"  {name:16} {self.stages[name]:7}"
            for name in [*STAGES, *sorted(self.stages.keys() - set(STAGES))]
        ]
        lines += [f"  intended: {name} {number}" for name, number in sorted(self.allowances.used.items())]
        lines += [
            f"  refused by gunicorn: {one} there, {other} here: {n}"
            for (one, other), n in sorted(self.refused.items())
        ]
        lines += [
            f"{len(self.findings)} differences, met {sum(self.known.values())} times",
            *(f"{found}" for found in self.findings),
        ]
        return "\n".join(lines)


def fuzzer(bench: Bench, pair: Pair, kind: str, site: str = "plain", **changed: Any) -> Fuzzer:
    """Both services of one site on new databases; `changed` are settings of ours alone (a mutant)."""
    settings = SITES[site] | SETTINGS
    theirs, mine = bench.database(pair, kind), bench.database(pair, kind)
    django = start_django(pair, theirs.url, settings | {"CONN_MAX_AGE": 600}, bench.log("django"), seed="0")
    ours = start_binary(pair, mine.url, settings | changed, bench.log("ours"))
    return Fuzzer(Side(django, theirs), Side(ours, mine))


def stop(run: Fuzzer) -> None:
    """Ends both services and gives up their databases."""
    for side in (run.django, run.ours):
        side.service.stop()
        side.database.close()


def main() -> int:
    """A long run, as a command of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="leave out the first ones of this seed")
    parser.add_argument("--pair", help="the Django, e.g. 5.2; the newest if left out")
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--site", default="plain", help="the settings of both, by a name of sites.py")
    parser.add_argument("--stop-after", type=int, default=20, help="end after so many differences")
    told = parser.parse_args()
    pair = next(pair for pair in pairs() if told.pair in (None, pair.django))
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder))
        with ExitStack() as ending:
            ending.callback(bench.stop)
            run = fuzzer(bench, pair, told.database, told.site)
            print(f"seed {told.seed}, Django {pair.django}, {told.database}, site {told.site}", flush=True)
            seen = 0
            for start in range(told.start, told.start + told.requests, BATCH):
                number = min(BATCH, told.start + told.requests - start)
                run.run(requests(told.seed, start, number))
                for found in run.findings[seen:]:
                    print(found, flush=True)
                seen = len(run.findings)
                if seen >= told.stop_after:
                    break
            print(run.report())
            stop(run)
    if run.missed():
        print(f"never reached: {run.missed()}")
    return 1 if run.findings or run.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
