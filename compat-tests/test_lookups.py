"""Token look-ups that are shared: how many there are, and that none is older than its request."""

from __future__ import annotations

import re
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg
import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, SECRET, login_bytes
from databases import User
from services import QUICK_HASH, Orm, Pair, start_binary

pytestmark = pytest.mark.newest_only

AT_ONCE = 400


@pytest.mark.parametrize("kind", ["postgres"])
def test_requests_that_wait_together_share_a_select(bench: Bench, pair: Pair, kind: str) -> None:
    """While a lock holds the first look-up, all others gather for the next ones."""
    database = bench.database(pair, kind)
    database.reset([ALICE])
    name = database.url.rsplit("/", 1)[1]
    bench.cluster.log_statements(name)
    service = start_binary(pair, database.url, QUICK_HASH, bench.log("ours"))
    connections = [wire.Connection(service.address) for _ in range(AT_ONCE)]
    try:
        assert wire.exchange(service.address, SECRET).status == 200
        before = selects(bench, name)
        with psycopg.connect(database.url) as holder:
            holder.execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
            for connection in connections:
                connection.send(SECRET)
        assert {connection.receive().status for connection in connections} == {200}
        # Some arrive only when the lock is gone already.
        assert selects(bench, name) - before <= AT_ONCE / 8
    finally:
        for connection in connections:
            connection.socket.close()
        service.stop()
        database.close()


def selects(bench: Bench, name: str, table: str = "authtoken_token") -> int:
    """How often a SELECT of tokens stands in the database's log, or of another table."""
    log = bench.cluster.process.log_text()
    return len(re.findall(rf"<{name}> LOG:  execute [^:]*: SELECT .*{table}", log))


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_login_for_which_there_is_no_room_asks_the_database_nothing(
    bench: Bench, pair: Pair, kind: str
) -> None:
    """Else a flood of them would be one of the database too."""
    slow = User("slow", "tortoise", pbkdf2("sha256", 5_000_000, SALT, "tortoise"))
    settings = {"PBKDF2_ITERATIONS": 5_000_000, "HASHING_THREADS": 1, "HASHING_QUEUE_SECONDS": 0.001}
    login = login_bytes(slow)
    with closing(bench.database(pair, kind)) as database:
        database.reset([slow])
        name = database.url.rsplit("/", 1)[1]
        bench.cluster.log_statements(name)
        with start_binary(pair, database.url, settings, bench.log("ours")) as service, ExitStack() as busy:
            # Four are hashed at once and one more waits, each for most of a second; then there is no room.
            for _ in range(40):
                connection = busy.enter_context(wire.Connection(service.address))
                connection.send(login)
                if select.select([connection.socket], [], [], 0.05)[0]:
                    break
            assert connection.receive().status == 503
            before = selects(bench, name, "auth_user")
            found = [wire.exchange(service.address, login).status for _ in range(20)]
            after = selects(bench, name, "auth_user")
    assert found == [503] * 20
    assert after == before > 4


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_token_is_gone_with_the_commit_that_takes_it_away(
    bench: Bench, pair: Pair, kind: str, pytestconfig: pytest.Config
) -> None:
    """Django deletes it, or deactivates its user; eight clients ask at once, under the load of others."""
    times: int = pytestconfig.getoption("times") or (100 if kind == "postgres" else 25)
    database = bench.database(pair, kind)
    database.reset([replace(ALICE, token=None), User("bob", "", "!", "b" * 40)])
    service = start_binary(pair, database.url, QUICK_HASH, bench.log("ours"))
    django = Orm(pair, database.url, QUICK_HASH)
    stop = threading.Event()

    def load() -> set[int]:
        statuses = set()
        with wire.Connection(service.address) as connection:
            while not stop.is_set():
                connection.send(secret("b" * 40))
                statuses.add(connection.receive().status)
        return statuses

    clients = [wire.Connection(service.address) for _ in range(8)]
    with ThreadPoolExecutor(12) as pool:

        def statuses(key: str) -> set[int]:
            def ask(connection: wire.Connection) -> int:
                connection.send(secret(key))
                return connection.receive().status

            return set(pool.map(ask, clients))

        loads = [pool.submit(load) for _ in range(4)]
        try:
            for number in range(times):
                # An order to Django is answered after its commit.
                key = django.ask("create_token", username="alice")
                assert statuses(key) == {200}, number
                if number % 2:
                    assert django.ask("delete_token", username="alice") == 1
                    assert statuses(key) == {401}, number
                else:
                    assert django.ask("update_user", username="alice", is_active=False) == 1
                    assert statuses(key) == {401}, number
                    assert django.ask("update_user", username="alice", is_active=True) == 1
                    assert statuses(key) == {200}, number
                    django.ask("delete_token", username="alice")
        finally:
            stop.set()
            for client in clients:
                client.socket.close()
        assert [one.result() for one in loads] == [{200}] * 4
    django.stop()
    service.stop()
    database.close()


def secret(key: str) -> bytes:
    """The request with another token."""
    return SECRET.replace((ALICE.token or "").encode(), key.encode())
