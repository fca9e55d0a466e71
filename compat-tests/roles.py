"""Roles of PostgreSQL that may do what the README says, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bench import Bench
from readme import README
from schema import execute


def grants(name: str = "grants") -> str:
    """The statements in the README."""
    text = README.read_text().split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]
    return text.replace("```sql", "").replace("```", "").strip()


@contextmanager
def role(bench: Bench, url: str, statements: str) -> Iterator[str]:
    """The URL of a database for a new role that may do this and nothing else."""
    name = bench.name("tokens")
    renamed = re.sub(r"\bTO tokens;", f"TO {name};", statements)
    assert statements.count("TO tokens;") == renamed.count(f"TO {name};") > 0
    execute(url, f"CREATE ROLE {name} LOGIN", renamed)
    yield url.replace("postgres:unused@", f"{name}:unused@")
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
