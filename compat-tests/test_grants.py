"""A role with the GRANTs of the README is enough, and less than they are shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, SECRET, ask, login_bytes
from databases import User
from differences import Allowances
from plain_site import faults_of_a_plain_site, plain_rig
from readme import README
from schema import execute
from services import SITES, Orm, Pair, start_binary, start_exported

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

BOB = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
OLGA = User("olga", "outdated", pbkdf2("sha256", 500, "salt", "outdated"), "1" * 40)


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


def test_the_grants_of_the_readme_are_enough(
    bench: Bench, pair: Pair, kind: str, allowances: Allowances
) -> None:
    first, second = bench.database(pair, kind), bench.database(pair, kind)
    with role(bench, second.url, grants()) as url:
        rig = plain_rig(bench, pair, first, second, url)
        found = faults_of_a_plain_site(rig, allowances)
        rig.stop()
    assert not found, "\n".join(found)


def test_sessions_need_one_more(bench: Bench, pair: Pair, kind: str) -> None:
    """Who lacks it cannot know whose session it is."""
    site = SITES["drf-defaults"]
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        orm = Orm(pair, database.url, site)
        session = orm.ask("log_in", username="alice")["session"]
        orm.stop()
        for statements, expected in (
            (grants(), 503),
            (f"{grants()}\n{grants('session grants')}", 200),
        ):
            with (
                role(bench, database.url, statements) as url,
                start_exported(pair, url, site, bench.log("ours")) as service,
            ):
                cookie = f"sessionid={session}"
                found = wire.simple(service.address, "GET", "/secret/", Cookie=cookie).status
                assert found == expected, statements


def test_who_may_only_read_still_checks_tokens(bench: Bench, pair: Pair, kind: str) -> None:
    """The verify-only mode: no row changes, and only who would need one is 503."""
    reading = re.sub(r", (UPDATE|INSERT) \([a-z_, ]+\)", "", grants())
    assert "UPDATE" not in reading and "INSERT" not in reading and reading.count("SELECT") == 2
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE, BOB, OLGA])
        before = database.snapshot()
        with (
            role(bench, database.url, reading) as url,
            start_binary(pair, url, {"PBKDF2_ITERATIONS": 1000}, bench.log("ours")) as service,
        ):
            asked = {
                "a check": (SECRET, 200),
                "a log-in with a token": (login_bytes(ALICE), 200),
                "a log-in without": (login_bytes(BOB), 503),
                "an outdated hash": (login_bytes(OLGA), 200),
                "a wrong password": (login_bytes(User("bob", "wrong", "")), 400),
            }
            found = {name: ask(service, request).status for name, (request, _) in asked.items()}
        assert found == {name: status for name, (_, status) in asked.items()}
        assert database.snapshot() == before
