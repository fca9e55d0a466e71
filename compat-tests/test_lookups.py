"""Token look-ups that are shared: how many there are, and that none is older than its request."""

from __future__ import annotations

import re
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg
import pytest

import schema
import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY, SECRET, login_bytes
from databases import User
from faults_clients import at_rest
from processes import allow_descriptors
from services import Orm, Pair, Service, start_binary
from sites import QUICK_HASH

pytestmark = pytest.mark.newest_only

AT_ONCE = 1_000
# Of 256 requests at most, and the one that the lock holds.
HANDFUL = 5


def key_of(number: int) -> str:
    """The key of a user; some have what JSON and SQL write in another way."""
    return f"{number:040}" if number % 7 else f"""'"\\u0041%${number}"""


@pytest.mark.parametrize("kind", ["postgres"])
def test_requests_that_wait_together_share_a_select(bench: Bench, pair: Pair, kind: str) -> None:
    """While a lock holds the first look-up, all others gather for the next ones."""
    database = bench.database(pair, kind)
    people = [User(f"user{number}", "", "!", key_of(number)) for number in range(50)]
    database.reset([ALICE, *people])
    name = database.url.rsplit("/", 1)[1]
    bench.cluster.log_statements(name)
    settings = QUICK_HASH | {"FORWARD_AUTH": True, "FORWARD_AUTH_GROUPS_HEADER": "X-Groups"}
    settings |= {"REQUEST_THREADS": 1, "DATABASE_TIMEOUT": 60}
    allow_descriptors()
    service = start_binary(pair, database.url, settings, bench.log("ours"))
    connections = [wire.Connection(service.address) for _ in range(AT_ONCE)]
    # Some several times, and some unknown.
    asked = [f"user{at % 60}" for at in range(AT_ONCE)]
    try:
        assert wire.exchange(service.address, SECRET).status == 200
        before = selects(bench, name)
        with psycopg.connect(database.url) as holder:
            holder.execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
            for user, connection in zip(asked, connections, strict=True):
                key = key_of(int(user[4:])).encode()
                connection.send(SECRET.replace(b"/secret/", b"/forward-auth/").replace(KEY.encode(), key))
            at_rest(service)
        known = {user.name for user in people}
        for user, connection in zip(asked, connections, strict=True):
            answer = connection.receive()
            told = (answer.status, answer.header("x-auth-user"))
            assert told == ((200, user) if user in known else (401, ""))
        assert 0 < selects(bench, name) - before <= HANDFUL
    finally:
        for connection in connections:
            connection.socket.close()
        service.stop()
        database.close()


@pytest.mark.parametrize("kind", ["postgres"])
def test_no_look_up_reads_the_whole_table(bench: Bench, pair: Pair, kind: str) -> None:
    """However many tokens share it, and where it is so small that it seems to cost no more.

    A row that was found before is read where it stood, by no index.
    """
    url, many, rounds = bench.migrated_url(pair, kind), 500, 100
    tables = ("authtoken_token", "auth_user")
    with psycopg.connect(url, autocommit=True) as connection:
        numbers = f"FROM generate_series(1, {many}) i"
        connection.execute(
            "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email,"
            " is_staff, is_active, date_joined)"
            f" SELECT i, '!', false, i, '', '', '', false, true, now() {numbers}"
        )
        connection.execute(f"INSERT INTO authtoken_token SELECT lpad(i::text, 40, '0'), now(), i {numbers}")
        connection.execute("VACUUM ANALYZE auth_user, authtoken_token")

    def read(column: str) -> list[int]:
        """What the tables' statistics say; a backend tells them when it ends."""
        with psycopg.connect(url) as connection:
            query = f"SELECT {column} FROM pg_stat_user_tables WHERE relname = ANY(%s)"
            rows = connection.execute(query, [list(tables)]).fetchall()
        assert len(rows) == 2
        return [value for (value,) in rows]

    settings = QUICK_HASH | {"OPERATIONS_BIND": "127.0.0.1:0", "REQUEST_THREADS": 1}
    with start_binary(pair, url, settings, bench.log("ours")) as service, ExitStack() as kept:
        clients = [kept.enter_context(wire.Connection(service.address)) for _ in range(64)]
        for round_ in range(rounds):
            for at, client in enumerate(clients):
                key = f"{(round_ * 64 + at) * 7 % many + 1:040}"
                client.send(SECRET.replace(KEY.encode(), key.encode()))
            assert {client.receive().status for client in clients} == {200}
        told = metrics(service).decode()
        count = int(told.split("\ndrf_authtoken_lookup_keys_count ")[1].split()[0])
        # Else it would be the look-up of one token that is looked at.
        assert count < rounds * 64 / 2
    end = time.monotonic() + 30
    while clients_of(url) > 1:
        assert time.monotonic() < end
        time.sleep(0.1)
    # Each token once; a user's index was read for the token's foreign key before.
    token, user = sorted(read("idx_scan"))
    assert many <= token <= user - many <= many + 100
    # What reads them once, at a start, is not meant.
    assert max(read("seq_tup_read")) < 10 * many


def clients_of(url: str) -> int:
    """How many there are of a database, with the one that asks."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    ((found,),) = schema.select(url, f"{query} AND backend_type = 'client backend'")
    return int(found)


def metrics(service: Service) -> bytes:
    """All that is counted."""
    return wire.simple(service.operations().address, "GET", "/metrics").body


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
                # `select` ends at 1,024 descriptors.
                poll = select.poll()
                poll.register(connection.socket, select.POLLIN)
                if poll.poll(50):
                    break
            assert connection.receive().status == 503
            before = selects(bench, name, "auth_user")
            found = [wire.exchange(service.address, login).status for _ in range(20)]
            after = selects(bench, name, "auth_user")
    assert found == [503] * 20
    assert after == before > 4


@pytest.mark.parametrize("kind, threads", [("postgres", 1), ("postgres", 2), ("sqlite", 1)])
def test_a_token_is_gone_with_the_commit_that_takes_it_away(
    bench: Bench, pair: Pair, kind: str, threads: int, pytestconfig: pytest.Config
) -> None:
    """Django deletes it, or deactivates its user; eight clients ask at once, under the load of others."""
    times: int = pytestconfig.getoption("times") or (100 if kind == "postgres" else 25)
    database = bench.database(pair, kind)
    database.reset([replace(ALICE, token=None), User("bob", "", "!", "b" * 40)])
    settings = QUICK_HASH | {"REQUEST_THREADS": threads}
    service = start_binary(pair, database.url, settings, bench.log("ours"))
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
