"""A role with the GRANTs of the README is enough, and each of them is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY, SECRET, ask, login_bytes
from databases import User
from differences import Allowances
from plain_site import faults_of_a_plain_site, plain_rig
from roles import grants, role
from schema import execute
from services import Orm, Pair, run_binary, start_binary, start_exported
from sites import SITES

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

BOB = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
OLGA = User("olga", "outdated", pbkdf2("sha256", 500, "salt", "outdated"), "1" * 40)


def test_the_grants_of_the_readme_are_enough(
    bench: Bench, pair: Pair, kind: str, allowances: Allowances
) -> None:
    first, second = bench.database(pair, kind), bench.database(pair, kind)
    with role(bench, second.url, grants()) as url:
        rig = plain_rig(bench, pair, first, second, url)
        found = faults_of_a_plain_site(rig, allowances)
        rig.stop()
    assert not found, "\n".join(found)


def single(statements: str) -> list[tuple[str, str]]:
    """Each privilege by itself: what is granted on which table, `SELECT (id)` on `auth_user`."""
    found = []
    for told, table in re.findall(r"GRANT (.+?) ON (\w+) TO tokens;", statements):
        for action, columns in re.findall(r"([A-Z]+)(?: \(([a-z_, ]+)\))?", told):
            found += [(f"{action} ({column})", table) for column in columns.split(", ") if column]
            found += [] if columns else [(action, table)]
    return found


def test_the_list_of_privileges_is_read_whole(kind: str) -> None:
    assert single("GRANT SELECT (a, b), UPDATE (b) ON t TO tokens;\nGRANT DELETE ON u TO tokens;") == [
        ("SELECT (a)", "t"),
        ("SELECT (b)", "t"),
        ("UPDATE (b)", "t"),
        ("DELETE", "u"),
    ]
    assert len(single(grants())) == 10


class Lessened:
    """A role with these privileges, of which one at a time is taken away while `ask` looks what works."""

    def __init__(self, url: str, as_role: str, statements: str) -> None:
        self.url, self.role = url, as_role.split("//")[1].split(":")[0]
        self.statements = statements

    def needed(self, ask: Callable[[], dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
        """For each privilege, what is not as with all of them."""
        whole = ask()
        found = {}
        for privilege, table in single(self.statements):
            execute(self.url, f"REVOKE {privilege} ON {table} FROM {self.role}")
            less = ask()
            execute(self.url, f"GRANT {privilege} ON {table} TO {self.role}")
            found[privilege, table] = {name: less[name] for name in whole if less[name] != whole[name]}
        assert ask() == whole
        return found


def test_each_privilege_is_needed(bench: Bench, pair: Pair, kind: str) -> None:
    """Without one of them something is 503, or without `UPDATE` an outdated hash stays."""
    with (
        closing(bench.database(pair, kind)) as database,
        role(bench, database.url, grants()) as url,
        start_binary(pair, url, {"PBKDF2_ITERATIONS": 1000}, bench.log("ours")) as service,
    ):

        def look() -> dict[str, Any]:
            database.reset([ALICE, BOB, OLGA])
            requests = {"check": SECRET} | {user.name: login_bytes(user) for user in (ALICE, BOB, OLGA)}
            found: dict[str, Any] = {name: ask(service, request).status for name, request in requests.items()}
            renewed = database.snapshot().users["3"]["password"] != OLGA.encoded
            return found | {"renewed": renewed}

        assert look() == dict.fromkeys(("check", "alice", "bob", "olga"), 200) | {"renewed": True}
        needed = Lessened(database.url, url, grants()).needed(look)
    assert needed.pop(("UPDATE (password)", "auth_user")) == {"renewed": False}
    assert len(needed) == 9
    assert all(503 in less.values() for less in needed.values()), needed


def test_sessions_need_one_more(bench: Bench, pair: Pair, kind: str) -> None:
    """Who lacks a part of it cannot know whose session it is."""
    site = SITES["drf-defaults"]
    further = grants("session grants")
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        orm = Orm(pair, database.url, site)
        session = orm.ask("log_in", username="alice")["session"]
        orm.stop()
        with (
            role(bench, database.url, f"{grants()}\n{further}") as url,
            start_exported(pair, url, site, bench.log("ours")) as service,
        ):

            def look() -> dict[str, Any]:
                cookie = f"sessionid={session}"
                return {"": wire.simple(service.address, "GET", "/secret/", Cookie=cookie).status}

            assert look() == {"": 200}
            needed = Lessened(database.url, url, further).needed(look)
    assert len(needed) == 3
    assert all(less == {"": 503} for less in needed.values()), needed


def test_forward_auth_needs_a_few_more(bench: Bench, pair: Pair, kind: str) -> None:
    """The user's e-mail and whether he is staff, and the groups if it tells them."""
    further = grants("forward auth grants")
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        orm = Orm(pair, database.url, SITES["plain"])
        orm.ask("join_groups", username="alice", names=["cooks"])
        orm.stop()
        headers = {name: f"X-Auth-{name.title()}" for name in ("email", "staff", "groups")}
        settings = {"FORWARD_AUTH": True} | {
            f"FORWARD_AUTH_{name.upper()}_HEADER": header for name, header in headers.items()
        }
        request = SECRET.replace(b"/secret/", b"/forward-auth/")
        with (
            role(bench, database.url, f"{grants()}\n{further}") as url,
            start_binary(pair, url, settings, bench.log("ours")) as service,
        ):

            def look() -> dict[str, Any]:
                answer = ask(service, request).answer
                return {"status": answer.status, "groups": answer.header(headers["groups"])}

            assert look() == {"status": 200, "groups": "cooks"}
            needed = Lessened(database.url, url, further).needed(look)
        execute(database.url, "DELETE FROM auth_user_groups")
    assert len(needed) == 6
    assert all(less["status"] == 503 for less in needed.values()), needed


def test_a_new_token_by_command_needs_a_delete(bench: Bench, pair: Pair, kind: str) -> None:
    further = grants("reset grants")
    assert len(single(further)) == 1
    with closing(bench.database(pair, kind)) as database:
        for statements, code in ((grants(), 1), (f"{grants()}\n{further}", 0)):
            database.reset([ALICE])
            with role(bench, database.url, statements) as url:
                done = run_binary("drf_create_token", "--reset", "alice", url=url)
            assert done.returncode == code, done.stderr
            assert (KEY in database.snapshot().tokens) is bool(code)


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
