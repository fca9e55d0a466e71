"""A database that is away, silent or locked: 503 within the bound, never a 401; afterwards all is well."""

from __future__ import annotations

import os
import pwd
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from bench import Bench
from cases import SALT, pbkdf2
from certificates import Authority
from clients import ALICE, SECRET, Timed, ask, ask_all, login_bytes, until
from databases import User
from hole import Hole
from postgres import Cluster
from services import Pair, Service, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

TIMEOUT = 1
# What a busy machine may add.
SLACK = 1.5
# A connection that was lost is found out by the first who uses it, when that has waited, and has its place in
# the pool for two more seconds.
RECOVERY = TIMEOUT + 2
CONNECTIONS = 4
# With one thread there is one look-up of tokens at a time.
SETTINGS = {
    "PBKDF2_ITERATIONS": 1000,
    "REQUEST_THREADS": 1,
    "DATABASE_TIMEOUT": TIMEOUT,
    "DATABASE_CONNECTIONS": CONNECTIONS,
}
BOB = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
LOGIN = login_bytes(ALICE)
ANONYMOUS = b"GET /secret/ HTTP/1.1\r\nHost: t\r\n\r\n"
UNAVAILABLE = b'{"detail":"Service temporarily unavailable, try again later."}'
POSTGRES = pytest.mark.parametrize("kind", ["postgres"])
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
BOTH = pytest.mark.parametrize("request_bytes", [SECRET, LOGIN], ids=["secret", "login"])


def is_unavailable(found: Timed, waits: int = 1) -> None:
    """The 503 that clients can act on, in time; `waits` is how often it had to wait for the database."""
    assert (found.status, found.answer.body) == (503, UNAVAILABLE), found
    assert found.answer.header("content-type") == "application/json"
    assert re.fullmatch("[1-9][0-9]*", found.answer.header("retry-after") or ""), found
    assert found.seconds < waits * TIMEOUT + SLACK, found


class Lock:
    """A lock on the tokens, so that statements wait; `watcher` counts who does.

    On the users only a few log-ins would come so far: the others wait until those have begun.
    """

    def __init__(self, url: str, table: str = "authtoken_token") -> None:
        self.holder = psycopg.connect(url)
        self.holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        self.watcher = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.holder.close()
        self.watcher.close()

    def sees(self, statements: int, within: float = TIMEOUT * 0.8) -> bool:
        """Comes back when so many wait, or when the first of them must have given up."""
        end = time.monotonic() + within
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while time.monotonic() < end:
            if self.watcher.execute(f"SELECT count(*) {waiting}").fetchone() == (statements,):
                return True
            time.sleep(0.005)
        return False


def fill_the_pool(service: Service, url: str) -> None:
    """Has every connection of the pool opened and used, by logins that wait for one lock."""
    for _ in range(5):
        with Lock(url) as lock:
            seen: list[bool] = []

            def release(lock: Lock = lock, seen: list[bool] = seen) -> None:
                seen.append(lock.sees(CONNECTIONS))
                lock.holder.rollback()

            found = ask_all(service, [LOGIN] * CONNECTIONS, meanwhile=release)
        # A busy machine may need another try.
        if seen == [True] and [one.status for one in found] == [200] * CONNECTIONS:
            break
    else:
        pytest.fail(f"the pool did not fill: {found}")
    assert ask(service, SECRET).status == 200


@pytest.fixture(scope="module")
def cluster(bench: Bench) -> Iterator[Cluster]:
    """A PostgreSQL server that may be stopped."""
    folder = bench.folder / bench.name("cluster")
    folder.mkdir()
    folder.chmod(0o711)
    cluster = Cluster(folder)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def site_url(cluster: Cluster, bench: Bench, pair: Pair) -> str:
    """A database of that server, with alice and her token."""
    url = cluster.create("site")
    pair.migrate(url)
    with closing(bench.open(url)) as database:
        database.reset([ALICE])
    return url


@pytest.fixture
def service(bench: Bench, pair: Pair, site_url: str) -> Iterator[Service]:
    """Our service, with all its connections open."""
    with start_binary(pair, site_url, SETTINGS, bench.log("ours")) as service:
        fill_the_pool(service, site_url)
        yield service


def test_a_stopped_database_is_503_and_one_that_is_back_is_used_at_once(
    cluster: Cluster, service: Service
) -> None:
    cluster.stop(signal.SIGINT)
    try:
        for _ in range(2):
            is_unavailable(ask(service, SECRET))
            is_unavailable(ask(service, LOGIN))
            assert ask(service, ANONYMOUS).status == 401
        for found in ask_all(service, [SECRET, LOGIN] * CONNECTIONS):
            is_unavailable(found, waits=2)
    finally:
        cluster.start()
    assert ask(service, SECRET).status == 200
    assert ask(service, LOGIN).status == 200


@BOTH
def test_a_restart_of_the_database_between_two_requests_is_not_noticed(
    cluster: Cluster, service: Service, request_bytes: bytes
) -> None:
    cluster.stop(signal.SIGINT)
    cluster.start()
    for _ in range(CONNECTIONS):
        assert ask(service, request_bytes).status == 200


def test_a_first_login_after_a_restart_of_the_database_makes_its_token(
    bench: Bench, cluster: Cluster, service: Service, site_url: str
) -> None:
    """It has a statement that is not repeated: the INSERT."""
    cluster.stop(signal.SIGINT)
    cluster.start()
    with closing(bench.open(site_url)) as database:
        database.reset([ALICE, BOB])
        assert ask(service, login_bytes(BOB)).status == 200
        assert len(database.snapshot().tokens) == 2


@pytest.fixture
def hole(bench: Bench) -> Iterator[Hole]:
    """A way to the run's cluster that can be shut."""
    with Hole(("127.0.0.1", bench.cluster.port)) as hole:
        yield hole


@pytest.fixture
def url(bench: Bench, pair: Pair, kind: str) -> str:
    """A database of the run's cluster, with alice and her token."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        return database.url


@pytest.fixture
def behind_the_hole(bench: Bench, pair: Pair, hole: Hole, url: str) -> Iterator[Service]:
    """Our service, which reaches that database through the hole only."""
    holed = url.replace(f":{bench.cluster.port}/", f":{hole.port}/")
    with start_binary(pair, holed, SETTINGS, bench.log("ours")) as service:
        fill_the_pool(service, url)
        yield service


@pytest.fixture
def behind_the_hole_by_tls(bench: Bench, pair: Pair, kind: str) -> Iterator[tuple[Service, Hole]]:
    """The same, of a server that is spoken to by TLS, whose end the other side would have to confirm."""
    folder = bench.folder / "by-tls"
    folder.mkdir()
    folder.chmod(0o711)
    certificate, key = Authority(folder / "authority").sign("server", "localhost", days=2)
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(key, account.pw_uid, account.pw_gid)
    tls = Bench(folder / "bench", ssl="on", ssl_cert_file=str(certificate), ssl_key_file=str(key))
    try:
        with closing(tls.database(pair, kind)) as database, Hole(("127.0.0.1", tls.cluster.port)) as hole:
            database.reset([ALICE])
            holed = database.url.replace(f":{tls.cluster.port}/", f":{hole.port}/") + "?sslmode=require"
            with start_binary(pair, holed, SETTINGS, bench.log("ours")) as service:
                fill_the_pool(service, database.url)
                yield service, hole
    finally:
        tls.stop()


@POSTGRES
def test_a_silent_end_of_tls_is_not_waited_for(behind_the_hole_by_tls: tuple[Service, Hole]) -> None:
    """Of connections that are idle, that answer a log-in and that are shown to work after it."""
    service, hole = behind_the_hole_by_tls
    seen = set()

    def shut_under_way() -> None:
        time.sleep(0.03)
        hole.shut()

    for _ in range(3):
        for found in ask_all(service, [LOGIN] * (20 * CONNECTIONS), meanwhile=shut_under_way):
            seen.add(found.status)
            if found.status != 200:
                is_unavailable(found)
        hole.open()
        for found in until(service, LOGIN, 200, within=RECOVERY):
            is_unavailable(found)
        after = ask_all(service, [LOGIN] * (3 * CONNECTIONS))
        assert [found.status for found in after] == [200] * len(after)
    assert seen == {200, 503}


@POSTGRES
def test_a_database_that_falls_silent_is_503_and_the_pool_recovers(
    behind_the_hole: Service, hole: Hole
) -> None:
    for _ in range(2):
        hole.shut()
        is_unavailable(ask(behind_the_hole, SECRET))
        for found in ask_all(behind_the_hole, [LOGIN] * (3 * CONNECTIONS)):
            is_unavailable(found)
        is_unavailable(ask(behind_the_hole, LOGIN))
        assert ask(behind_the_hole, ANONYMOUS).status == 401
        hole.open()
        for request in (SECRET, LOGIN):
            for found in until(behind_the_hole, request, 200, within=RECOVERY):
                is_unavailable(found)


@POSTGRES
def test_connections_that_were_lost_while_nobody_used_them_cost_one_login_its_time(
    behind_the_hole: Service, hole: Hole
) -> None:
    """All of the pool are lost: the others are not found out by somebody who waits for each."""
    hole.shut()
    hole.open()
    found = [ask(behind_the_hole, LOGIN) for _ in range(CONNECTIONS + 1)]
    is_unavailable(found[0])
    assert [one.status for one in found[1:]] == [200] * CONNECTIONS


@POSTGRES
def test_after_a_quiet_time_lost_connections_cost_no_answer(behind_the_hole: Service, hole: Hole) -> None:
    """As behind a firewall that forgets who is silent: logins ask one, look-ups have asked theirs."""
    hole.shut()
    hole.open()
    time.sleep(10.5)
    found = ask_all(behind_the_hole, [LOGIN, SECRET] * CONNECTIONS)
    assert [one.status for one in found] == [200] * len(found)


@POSTGRES
def test_statements_that_are_lost_under_way_are_503_and_the_pool_recovers(
    behind_the_hole: Service, hole: Hole, url: str
) -> None:
    """The hole opens while the server is at work on them."""
    with Lock(url) as lock:

        def lose() -> None:
            assert lock.sees(CONNECTIONS + 1)
            hole.shut()

        for found in ask_all(behind_the_hole, [LOGIN, SECRET] * CONNECTIONS, meanwhile=lose):
            is_unavailable(found, waits=2)
    hole.open()
    for request in (SECRET, LOGIN):
        until(behind_the_hole, request, 200, within=RECOVERY)
    fill_the_pool(behind_the_hole, url)


@POSTGRES
def test_a_first_statement_that_hangs_does_not_keep_all_others_out(
    bench: Bench, pair: Pair, url: str
) -> None:
    """For these connections one may begin at a time; after half of its time the next one may."""
    timeout = 4 * TIMEOUT
    with start_binary(pair, url, SETTINGS | {"DATABASE_TIMEOUT": timeout}, bench.log("ours")) as service:
        fill_the_pool(service, url)
        with Lock(url, "auth_user") as lock:
            seen: list[bool] = []

            def look() -> None:
                seen.append(lock.sees(2, within=timeout * 0.9))
                lock.holder.rollback()

            found = ask_all(service, [LOGIN] * 3, meanwhile=look)
        assert seen == [True]
        assert [one.status for one in found] == [200] * 3


@POSTGRES
@pytest.mark.parametrize("table", ["auth_user", "authtoken_token"])
def test_statements_that_were_given_up_do_not_pile_up_behind_a_lock(
    bench: Bench, pair: Pair, url: str, table: str
) -> None:
    """The server gives them up too, while the lock is still held."""
    with start_binary(pair, url, SETTINGS, bench.log("ours")) as service:
        fill_the_pool(service, url)
        with Lock(url, table) as lock:
            for _ in range(3):
                for found in ask_all(service, [LOGIN, SECRET] * CONNECTIONS):
                    is_unavailable(found, waits=2)
            # The last of them may have begun when nobody waited for it any more.
            assert lock.sees(0, within=3 * TIMEOUT)
        for request in (SECRET, LOGIN):
            until(service, request, 200, within=RECOVERY)


@SQLITE
def test_a_locked_sqlite_file_is_503_and_a_free_one_is_used_at_once(
    bench: Bench, pair: Pair, kind: str
) -> None:
    with (
        closing(bench.database(pair, kind)) as database,
        start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service,
        closing(sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)) as other,
    ):
        database.reset([ALICE, BOB])
        assert ask(service, SECRET).status == 200
        other.execute("BEGIN EXCLUSIVE")
        for found in ask_all(service, [SECRET, LOGIN]):
            is_unavailable(found)
        assert ask(service, ANONYMOUS).status == 401
        other.execute("ROLLBACK")
        assert [ask(service, request).status for request in (SECRET, LOGIN)] == [200, 200]
        # One who only writes keeps nobody from reading.
        other.execute("BEGIN IMMEDIATE")
        assert [ask(service, request).status for request in (SECRET, LOGIN)] == [200, 200]
        is_unavailable(ask(service, login_bytes(BOB)), waits=2)
        other.execute("ROLLBACK")
        assert ask(service, login_bytes(BOB)).status == 200
