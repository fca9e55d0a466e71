"""The intended differences: one list, each with its reason, each used in every full run."""

from __future__ import annotations

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
    """Where (case and fields, as shell patterns) which two texts (as regular expressions) may stand."""

    name: str
    readme: str
    reason: str
    case: str
    fields: list[str]
    django: str = ".*"
    ours: str = ".*"
    random: bool = False

    def covers(self, case_id: str, found: Difference) -> bool:
        """Whether this difference is the intended one."""
        return (
            fnmatch(case_id, self.case)
            and any(fnmatch(found.field, field) for field in self.fields)
            and re.fullmatch(self.django, found.django, re.S) is not None
            and re.fullmatch(self.ours, found.ours, re.S) is not None
        )


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
        """Lines that a full run did not need: they must go."""
        return [line for line in self.all if not self.used[line.name]]
