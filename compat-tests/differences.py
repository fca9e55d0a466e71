"""The intended differences: one list, each with its reason, each used in every full run."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from compare import Difference

FILE = Path(__file__).parent / "differences.toml"


@dataclass(frozen=True)
class Allowance:
    """Where (case and fields, as shell patterns) which two texts (as regular expressions) may stand.

    What the fuzzer sends is no case. It is known by what was sent and what Django answered to it
    (`exchange`, a regular expression for a part of both, as latin-1).
    """

    name: str
    readme: str
    reason: str
    case: str
    fields: list[str]
    django: str = ".*"
    ours: str = ".*"
    random: bool = False
    exchange: str = ""
    same_json: bool = False

    def covers(self, case_id: str, found: Difference) -> bool:
        """Whether this difference is the intended one in that case."""
        return fnmatch(case_id, self.case) and self._is(found)

    def covers_exchange(self, exchange: str, found: Difference) -> bool:
        """Whether this difference is the intended one in what the fuzzer saw."""
        if not self.exchange:
            return self.case == "*" and self._is(found)
        return re.search(self.exchange, exchange, re.S) is not None and self._is(found)

    def _is(self, found: Difference) -> bool:
        return (
            any(fnmatch(found.field, field) for field in self.fields)
            and re.fullmatch(self.django, found.django, re.S) is not None
            and re.fullmatch(self.ours, found.ours, re.S) is not None
            and not (self.same_json and is_other_json(found.django, found.ours))
        )


def is_other_json(one: str, other: str) -> bool:
    """Whether two texts are not the same JSON, however it is laid out."""
    try:
        return bool(json.loads(one) != json.loads(other))
    except ValueError:
        return True


class Allowances:
    """The list, and how often each line of it was needed."""

    def __init__(self) -> None:
        self.all = [Allowance(**entry) for entry in tomllib.loads(FILE.read_text())["difference"]]
        self.used: Counter[str] = Counter()
        self.seen: set[str] = set()

    def unexplained(self, case_id: str, found: list[Difference]) -> list[Difference]:
        """The differences that nobody intended."""
        self.seen.add(case_id)
        return [one for one in found if not self._explains(case_id, one)]

    def _explains(self, case_id: str, found: Difference) -> bool:
        for allowance in self.all:
            if allowance.covers(case_id, found):
                self.used[allowance.name] += 1
                return True
        return False

    def unexplained_exchange(self, exchange: str, found: list[Difference]) -> list[Difference]:
        """The same for what the fuzzer saw."""
        rest = []
        for one in found:
            line = next((line for line in self.all if line.covers_exchange(exchange, one)), None)
            if line:
                self.used[line.name] += 1
            else:
                rest.append(one)
        return rest

    def random_only(self, case_id: str, found: list[Difference]) -> list[Difference]:
        """What remains between two runs of Django itself, in either direction."""
        lines = [line for line in self.all if line.random]
        swapped = [Difference(one.field, one.ours, one.django) for one in found]
        return [
            one
            for one, other in zip(found, swapped, strict=True)
            if not any(line.covers(case_id, one) or line.covers(case_id, other) for line in lines)
        ]

    def unused(self) -> list[Allowance]:
        """Lines that a full run of the cases did not need: they must go."""
        return [line for line in self.all if line.case and not self.used[line.name]]
