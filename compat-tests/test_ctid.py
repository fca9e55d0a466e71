"""Rows are read where they stood when they were last found; answers are those of the rows as they are now."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
import pytest

import wire
from bench import Bench
from clients import KEY, SECRET
from databases import Database, User
from hole import Hole
from roles import grants, role
from schema import execute, select
from services import Pair, start_binary
from sites import QUICK_HASH

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

MANY = 200
KEYS = [f"{number:040}" for number in range(MANY)]
PEOPLE = [User(f"user{number}", "", "!", key) for number, key in enumerate(KEYS)]
SETTINGS = QUICK_HASH | {"FORWARD_AUTH": True, "FORWARD_AUTH_GROUPS_HEADER": "X-Groups", "REQUEST_THREADS": 1}
CURRENT = (
    'SELECT t."key", u.username FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id WHERE u.is_active'
)
LOST = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
# With other keys than before, each in the place of the same user's.
REGENERATED = (
    "DELETE FROM authtoken_token",
    "VACUUM authtoken_token",
    "INSERT INTO authtoken_token SELECT lpad(((id + 7) % 200)::text, 40, '0'), now(), id"
    " FROM auth_user ORDER BY id",
)
# Each in the place of another one, while the tokens stay.
USERS_CHANGE_PLACES = (
    "SET session_replication_role = replica",
    "CREATE TABLE kept WITH (autovacuum_enabled = false) AS SELECT * FROM auth_user",
    "DELETE FROM auth_user",
    "VACUUM auth_user",
    "INSERT INTO auth_user SELECT * FROM kept ORDER BY id DESC",
    "SET session_replication_role = origin",
)
# All that moves a row, or puts another one in its place.
MOVES = (
    ("UPDATE auth_user SET first_name = 'moved'",),
    ("UPDATE authtoken_token SET created = now()",),
    ("VACUUM FULL auth_user", "VACUUM FULL authtoken_token"),
    ("UPDATE auth_user SET is_active = id % 3 > 0",),
    ("UPDATE auth_user SET is_active = true",),
    ("CLUSTER authtoken_token USING authtoken_token_user_id_key", "CLUSTER auth_user USING auth_user_pkey"),
    REGENERATED,
    USERS_CHANGE_PLACES,
    ("DELETE FROM authtoken_token WHERE user_id % 2 = 0", "VACUUM authtoken_token"),
    ("TRUNCATE authtoken_token",),
    REGENERATED,
)


class Other(Hole):
    """What speaks as PostgreSQL does, and does not know that option."""

    def _ask(self, server: socket.socket, data: bytes, statements: list[str]) -> None:
        super()._ask(server, data.replace(b"random_page_cost", b"another_pagecost"), statements)


class Clients:
    """64 of them, who ask at the same time."""

    def __init__(self, address: tuple[str, int], kept: ExitStack) -> None:
        self.connections = [kept.enter_context(wire.Connection(address)) for _ in range(64)]

    def ask(self, keys: Sequence[str]) -> dict[str, wire.Response]:
        """The answers for at most so many keys."""
        asked = dict(zip(keys, self.connections, strict=False))
        for key, connection in asked.items():
            request = SECRET.replace(b"/secret/", b"/forward-auth/")
            connection.send(request.replace(KEY.encode(), key.encode()))
        return {key: connection.receive() for key, connection in asked.items()}

    def names(self) -> dict[str, str]:
        """Whom each key stands for, of those that are good."""
        found = {}
        for start in range(0, MANY, len(self.connections)):
            for key, answer in self.ask(KEYS[start:]).items():
                assert answer.status in (200, 401), answer
                if answer.status == 200:
                    found[key] = answer.header("x-auth-user") or ""
        return found

    def statuses(self) -> set[int]:
        """Of one question each."""
        return {answer.status for answer in self.ask(KEYS).values()}


@contextmanager
def asking(bench: Bench, pair: Pair, url: str, pooling: bool = False) -> Iterator[Clients]:
    """A service for this database, and its clients."""
    with (
        start_binary(
            pair, url, SETTINGS | {"DATABASE_TRANSACTION_POOLING": pooling}, bench.log("ours")
        ) as service,
        ExitStack() as kept,
    ):
        yield Clients(service.address, kept)


def lines(bench: Bench, url: str, pattern: str) -> int:
    """How many there are in the database's log."""
    name = url.rsplit("/", 1)[1]
    return len(re.findall(rf"<{name}> {pattern}", bench.cluster.process.log_text()))


def by_ctid(bench: Bench, url: str) -> int:
    """How many statements were executed that can read rows where they stood."""
    return lines(bench, url, r"LOG:  execute [^:]*: SELECT .*\.ctid = ")


def only_by_ctid(bench: Bench, url: str) -> int:
    """How many of them asked for no other rows."""
    return lines(bench, url, r"LOG:  execute [^:]*: SELECT (?!.*UNION).*\.ctid = ")


def tids(url: str, table: str, order: str) -> list[Any]:
    """Where the rows stand."""
    return select(url, f"SELECT ctid::text FROM {table} ORDER BY {order}")


@pytest.fixture
def database(bench: Bench, pair: Pair, kind: str) -> Iterator[Database]:
    """A database whose statements stand in the log."""
    with closing(bench.database(pair, kind)) as database:
        database.reset(PEOPLE)
        # Its snapshots would keep dead rows in their places.
        for table in ("auth_user", "authtoken_token"):
            execute(database.url, f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        bench.cluster.log_statements(database.url.rsplit("/", 1)[1])
        yield database


def test_rows_may_move_and_others_take_their_places(bench: Bench, pair: Pair, database: Database) -> None:
    url = database.url
    with asking(bench, pair, url) as clients, psycopg.connect(url, autocommit=True) as site:
        for move in ((), *MOVES):
            before = tids(url, "authtoken_token", "user_id"), tids(url, "auth_user", "id")
            for statement in move:
                site.execute(statement.encode())
            after = tids(url, "authtoken_token", "user_id"), tids(url, "auth_user", "id")
            if move is REGENERATED and before[0]:
                assert after == before
            if move is USERS_CHANGE_PLACES:
                # A page holds some more or less of them, by the length of their names.
                assert after[0] == before[0] and len({*after[1]} & {*before[1]}) > MANY / 2
                assert after[1] != before[1]
            expected = dict(select(url, CURRENT))
            # By hints that are wrong now, and then by good ones.
            for _ in range(2):
                assert clients.names() == expected, move
        assert len(expected) == MANY
    assert only_by_ctid(bench, url) > 0


def test_a_role_that_may_not_read_ctid_needs_it_not(bench: Bench, pair: Pair, database: Database) -> None:
    """The server tells it no once."""
    few = f"{grants()}\n{grants('forward auth grants')}"
    with role(bench, database.url, few) as url, asking(bench, pair, url) as clients:
        for _ in range(3):
            assert len(clients.names()) == MANY
    denied = "ERROR:  permission denied for table"
    assert (lines(bench, database.url, denied), by_ctid(bench, database.url)) == (1, 0)
    further = grants("ctid grants")
    with role(bench, database.url, f"{few}\n{further}") as url, asking(bench, pair, url) as clients:
        for _ in range(3):
            assert len(clients.names()) == MANY
    assert lines(bench, database.url, denied) == 1
    assert only_by_ctid(bench, database.url) > 0


def test_a_token_that_is_gone_is_looked_for_where_it_stood_once(
    bench: Bench, pair: Pair, database: Database
) -> None:
    url = database.url
    with asking(bench, pair, url) as clients:
        for _ in range(2):
            assert len(clients.names()) == MANY
        execute(url, "DELETE FROM authtoken_token")
        before = only_by_ctid(bench, url)
        assert clients.names() == {}
        after = only_by_ctid(bench, url)
        assert clients.names() == {}
    assert 0 < before < after == only_by_ctid(bench, url)


@pytest.mark.parametrize("table", ["auth_user", "authtoken_token"])
def test_a_view_has_no_ctid(bench: Bench, pair: Pair, database: Database, table: str) -> None:
    """One that takes the table's place under a running service; at the start `check` would refuse it."""
    url = database.url
    with asking(bench, pair, url) as clients:
        assert len(clients.names()) == MANY
        view = f"CREATE VIEW {table} AS SELECT * FROM {table}_kept"
        execute(url, f"ALTER TABLE {table} RENAME TO {table}_kept", view)
        before = by_ctid(bench, url)
        for _ in range(2):
            assert len(clients.names()) == MANY
        # Until the connection is another one.
        execute(url, f"DROP VIEW {table}", f"ALTER TABLE {table}_kept RENAME TO {table}")
        assert len(clients.names()) == MANY
        assert by_ctid(bench, url) == before > 0
        execute(url, LOST)
        for _ in range(2):
            assert len(clients.names()) == MANY
    assert by_ctid(bench, url) > before


def test_a_table_that_is_away_for_a_moment_is_read_by_ctid_again(
    bench: Bench, pair: Pair, database: Database
) -> None:
    url = database.url
    with asking(bench, pair, url) as clients:
        assert len(clients.names()) == MANY
        execute(url, "ALTER TABLE authtoken_token RENAME TO away")
        assert clients.statuses() == {503}
        execute(url, "ALTER TABLE away RENAME TO authtoken_token")
        before = by_ctid(bench, url)
        assert len(clients.names()) == MANY
    assert by_ctid(bench, url) > before


def test_what_is_prepared_anew_each_time_goes_without(bench: Bench, pair: Pair, database: Database) -> None:
    with asking(bench, pair, database.url, pooling=True) as clients:
        for _ in range(2):
            assert len(clients.names()) == MANY
    assert by_ctid(bench, database.url) == 0


def test_a_database_that_refuses_the_option_is_asked_without(
    bench: Bench, pair: Pair, database: Database
) -> None:
    port = bench.cluster.port
    refused = r'FATAL:  unrecognized configuration parameter "another_pagecost"'
    with Other(("127.0.0.1", port)) as other:
        url = database.url.replace(f":{port}/", f":{other.port}/")
        with asking(bench, pair, url) as clients:
            assert len(clients.names()) == MANY
            before, connected = lines(bench, database.url, refused), len(other.sockets)
            # It is known by the next connection.
            execute(database.url, LOST)
            end = time.monotonic() + 30
            while len(other.sockets) == connected:
                assert time.monotonic() < end
                assert len(clients.names()) == MANY
            assert len(clients.names()) == MANY
    assert lines(bench, database.url, refused) == before > 0
    assert by_ctid(bench, database.url) == 0
