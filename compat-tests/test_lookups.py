"""Token look-ups that are shared: how many there are, and that none is older than its request."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import wire
from bench import Bench
from clients import ALICE, SECRET
from databases import PostgresDatabase, User
from services import QUICK_HASH, Pair, start_binary

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


def selects(bench: Bench, name: str) -> int:
    """How often a SELECT of tokens stands in the database's log."""
    log = bench.cluster.process.log_text()
    return len(re.findall(rf"<{name}> LOG:  execute [^:]*: SELECT .*authtoken_token", log))


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_token_is_gone_with_the_commit_that_deletes_it(bench: Bench, pair: Pair, kind: str) -> None:
    """Under load, eight clients ask at once after each deletion; then after each new token."""
    database = bench.database(pair, kind)
    other = User("bob", "", "!", "b" * 40)
    service = start_binary(pair, database.url, QUICK_HASH, bench.log("ours"))
    stop = threading.Event()

    def load() -> None:
        with wire.Connection(service.address) as connection:
            while not stop.is_set():
                connection.send(SECRET.replace((ALICE.token or "").encode(), b"b" * 40))
                connection.receive()

    def ask(connection: wire.Connection) -> int:
        connection.send(SECRET)
        return connection.receive().status

    users = [ALICE, other]
    # The runner's own writes are what is waited for: a commit, then the requests.
    database.reset(users)
    clients = [wire.Connection(service.address) for _ in range(8)]
    with ThreadPoolExecutor(12) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        try:
            for number in range(100 if isinstance(database, PostgresDatabase) else 25):
                database.reset([other] if number % 2 else users)
                expected = {401} if number % 2 else {200}
                assert set(pool.map(ask, clients)) == expected, number
        finally:
            stop.set()
            for client in clients:
                client.socket.close()
        for future in loads:
            future.result()
    service.stop()
    database.close()
