"""Claims about faults and hostile input, each measured by one piece of code on this service and on Django.

`scripts/faults CLAIM` measures both sides and prints the rows of README's table; the tests measure this
service for a short while and want every claim to hold.
"""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import Bench
from clients import ALICE, KEY
from readme import README
from services import Pair, Service, pairs, start_binary, start_django
from sites import QUICK_HASH
from test_log import forms

# Each in the module of its name, and the database that it cannot do without.
CLAIMS = {
    "crash": "postgres",
    "database": "postgres",
    "sqlite": "sqlite",
    "smuggling": "sqlite",
    "end": "postgres",
    "clients": "sqlite",
    "quadratic": "sqlite",
    "authorization": "sqlite",
    "interleaving": "postgres",
    "points": "postgres",
    "fuzz": "sqlite",
    "parsers": "sqlite",
    "clock": "postgres",
    "soak": "postgres",
}
# Of all users but alice: a word that stands nowhere else.
PASSWORD = "WordOfTheUsers"
SECRETS = [KEY, ALICE.password, PASSWORD, *ALICE.encoded.split("$")[2:]]
# Any of them in any form, whatever looks like a key, and a hash.
IN_A_LOG = re.compile(
    "|".join(
        [*(re.escape(form) for one in SECRETS for form in forms(one)), "[0-9a-f]{40}", r"pbkdf2_sha\d+\$\d"]
    ),
    re.I,
)
# Where the work of ours is measured.
QUIET = {"LOG_LEVEL": "info", "LOG_REQUESTS": False}
TABLE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- /faults -->)", re.S)
COLUMNS = ("claim", "how it is tested", "this service", "Django 6.1 under gunicorn", "again by")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


@dataclass(frozen=True)
class Finding:
    """What was found about one claim: a figure for the table, and what contradicts the claim."""

    claim: str
    how: str
    figure: str
    against: Sequence[str] = ()


@dataclass
class Stage:
    """Where a claim is measured: one side, with what the side needs."""

    bench: Bench
    pair: Pair
    side: str
    long: bool = False
    # How long the long form of `parsers` takes for each, where that is told.
    seconds: int | None = None
    services: list[Service] = field(default_factory=list)
    # What our logs have told of secrets.
    leaks: list[str] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        """Whether it is this service that is measured."""
        return self.side == "ours"

    def start(
        self,
        url: str,
        settings: Mapping[str, Any] | None = None,
        both: Mapping[str, Any] = QUICK_HASH,
        **env: str,
    ) -> Service:
        """The side's service on that database; `settings` are those that only ours has.

        Ours logs all it can, unless they are `QUIET`.
        """
        if self.is_ours:
            told = {**both, "LOG_LEVEL": "trace", "LOG_REQUESTS": True, **(settings or {})}
            service = start_binary(self.pair, url, told, self.bench.log("ours"), listen=None, **env)
        else:
            service = start_django(self.pair, url, both, self.bench.log("django"), **env)
        self.services.append(service)
        return service

    def stop(self) -> None:
        """Ends what was started, and looks for secrets in what it has logged."""
        while self.services:
            service = self.services.pop()
            service.stop()
            if self.is_ours:
                self.leaks += leaks(service.process.log_text())


def leaks(log: str) -> list[str]:
    """The lines of a log that tell a secret."""
    return [f"a secret is in the log: {line:.300}" for line in log.splitlines() if IN_A_LOG.search(line)]


def measure(claim: str, stage: Stage) -> list[Finding]:
    """What is found about the claim."""
    module = importlib.import_module(f"faults_{claim}")
    try:
        found: list[Finding] = module.measure(stage)
    finally:
        stage.stop()
    if stage.leaks:
        found[-1] = replace(found[-1], against=[*found[-1].against, *stage.leaks])
    return found


def rows(claim: str, ours: Sequence[Finding], django: Sequence[Finding], options: str = "") -> list[str]:
    """The claim's rows of the table."""
    command = f"`scripts/faults {claim}{options}`"
    return [
        "| " + " | ".join((one.claim, one.how, one.figure, other.figure, command)) + " |\n"
        for one, other in zip(ours, django, strict=True)
    ]


def with_rows(text: str, claim: str, new: Sequence[str]) -> str:
    """README's text with these rows of the claim, in the order of the claims."""

    def claim_of(row: str) -> str:
        match = re.search(r"`scripts/faults (\w+)[^`]*`", row)
        assert match, row
        return match[1]

    match = TABLE.search(text)
    assert match, "README.md has no table of faults"
    old = [line for line in match[0].splitlines(keepends=True)[2:] if claim_of(line) != claim]
    table = HEAD + "".join(sorted([*old, *new], key=lambda row: list(CLAIMS).index(claim_of(row))))
    return TABLE.sub(lambda _: table, text)


def main() -> int:
    """Measures a claim on both sides, prints its rows, and fails if ours does not hold."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("claim", choices=CLAIMS)
    parser.add_argument("--long", action="store_true", help="the whole of it, minutes to hours")
    parser.add_argument("--seconds", type=int, help="with --long, of parsers: so long for each")
    parser.add_argument("--readme", action="store_true", help="write the rows into README.md")
    told = parser.parse_args()
    # As Ctrl-C does, so that what was started ends too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = {}
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder))
        try:
            for side in ("ours", "django"):
                found[side] = measure(told.claim, Stage(bench, pairs()[0], side, told.long, told.seconds))
        finally:
            bench.stop()
    options = " --long" * told.long + (f" --seconds {told.seconds}" if told.seconds else "")
    new = rows(told.claim, found["ours"], found["django"], options)
    print(HEAD + "".join(new), end="")
    for side, findings in found.items():
        for finding in findings:
            for text, times in Counter(finding.against).most_common(5):
                print(f"{side}: {finding.claim}: {text}, {times} times", file=sys.stderr)
    if told.readme:
        README.write_text(with_rows(README.read_text(), told.claim, new))
    return int(any(finding.against for finding in found["ours"]))


if __name__ == "__main__":
    sys.exit(main())
