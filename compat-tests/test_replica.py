"""A streaming replica for look-ups: used, never waited for, and never the one who refuses."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import psycopg
import pytest

import wire
from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, KEY, SECRET, ask, login_bytes
from databases import USER_TABLES, PostgresDatabase, User
from differences import Allowances
from load import Load, during
from plain_site import cases_of_a_plain_site, faults_of, plain_rig
from postgres import Standby
from schema import execute
from services import Pair, Service, run_binary, start_binary
from sessions import Session
from sites import QUICK_HASH

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

BOB = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
NOBODYS = SECRET.replace(KEY.encode(), b"f" * 40)


class Replicated(PostgresDatabase):
    """A database whose rows are on the standby too before a case begins, while there is one."""

    standby: Standby

    def reset(self, users: Iterable[User], kept: Sequence[Session] = ()) -> None:
        """As the primary has it, and replayed."""
        super().reset(users, kept)
        if not self.standby.admin.closed:
            self.standby.catch_up()


@pytest.fixture(scope="module")
def own_bench(bench: Bench) -> Iterator[Bench]:
    """A bench with a cluster of its own, so that few databases are copied."""
    own = Bench(bench.folder / "replicated")
    yield own
    own.stop()


@pytest.fixture(scope="module")
def standby(own_bench: Bench) -> Iterator[Standby]:
    """A standby of that cluster."""
    standby = Standby(own_bench.cluster, own_bench.folder / "standby")
    yield standby
    if not standby.admin.closed:
        standby.stop()


@pytest.fixture
def database(own_bench: Bench, pair: Pair, kind: str, standby: Standby) -> Iterator[Replicated]:
    """A database on both, with alice, who has a token, and bob."""
    url = own_bench.migrated_url(pair, kind)
    # What is committed is sent at once.
    execute(url, f"ALTER DATABASE {name_of(url)} SET synchronous_commit = 'on'")
    own_bench.cluster.log_statements(name_of(url))
    with closing(Replicated(url, USER_TABLES["auth.User"])) as database:
        database.standby = standby
        database.reset([ALICE, BOB])
        yield database


def name_of(url: str) -> str:
    """The database's name."""
    return url.rsplit("/", 1)[1]


def told(database: Replicated, **further: object) -> dict[str, object]:
    """Our settings: a slow replica is given up late, so that only what is meant to be slow is."""
    url = database.standby.dsn(name_of(database.url))
    return {
        **QUICK_HASH,
        "DATABASE_REPLICA_URL": url,
        "DATABASE_REPLICA_TIMEOUT": 1.25,
        "REQUEST_THREADS": 1,
        **further,
    }


def looked_up(standby: Standby, database: Replicated) -> int:
    """How many look-ups of keys are in the log of its present run; a new connection asks for none."""
    name, key = name_of(database.url), r"(\[\")?[0-9a-f]"
    return len(re.findall(rf"<{name}> DETAIL:  [Pp]arameters: \$1 = '{key}", standby.process.log_text()))


def wait_until_used(service: Service, database: Replicated) -> None:
    """Asks until the standby has answered once more."""
    before, end = looked_up(database.standby, database), time.monotonic() + 60
    while looked_up(database.standby, database) == before:
        assert ask(service, SECRET).status == 200
        assert time.monotonic() < end, service.process.log_text()


def token_of(answer: wire.Response) -> bytes:
    """The request for the secret with the token that was just answered."""
    found = re.search(rb"[0-9a-f]{40}", answer.body)
    assert found, answer
    return SECRET.replace(KEY.encode(), found[0])


def test_no_request_fails_while_the_replica_stops_and_starts(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    """It is really asked, before and after, and log-ins never are."""
    standby = database.standby
    with start_binary(pair, database.url, told(database), own_bench.log("ours")) as service:
        wait_until_used(service, database)
        load = Load(service.address, [SECRET, login_bytes(ALICE), SECRET, SECRET])
        counted: list[int] = []

        def count() -> None:
            counted.append(looked_up(standby, database))

        steps = [count, standby.stop, standby.start, lambda: wait_until_used(service, database), count]
        during(load, steps, 2000)
        last = looked_up(standby, database)
    assert load.all_are(200, 10_000)
    # Of what was answered with it, before and after, it took its share: several requests share a look-up.
    assert counted[0] > 200 and last - counted[1] > 200, (counted, last)
    log_in = '"auth_user" u LEFT JOIN'
    assert log_in in own_bench.cluster.process.log_text()
    assert log_in not in standby.process.log_text()
    assert "the replica is not used" in service.process.log_text()


def test_a_new_token_works_before_the_replica_has_heard_of_it(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    """And so does that of a user who is active again; who is nobody's stays refused."""
    with start_binary(pair, database.url, told(database), own_bench.log("ours")) as service:
        wait_until_used(service, database)
        database.connection.execute("UPDATE auth_user SET is_active = false WHERE username = 'alice'")
        database.standby.catch_up()
        refused = ask(service, SECRET)
        database.standby.pause()
        try:
            new = token_of(ask(service, login_bytes(BOB)).answer)
            database.connection.execute("UPDATE auth_user SET is_active = true WHERE username = 'alice'")
            found = [ask(service, request).status for request in (new, SECRET, NOBODYS)]
        finally:
            database.standby.resume()
        before = looked_up(database.standby, database)
        assert ask(service, new).status == 200
    assert (refused.status, refused.answer.body) == (401, b'{"detail":"User inactive or deleted."}')
    assert found == [200, 200, 401]
    assert looked_up(database.standby, database) == before + 1


TAKEN_AWAY = {
    "deleted": ("DELETE FROM authtoken_token", b'{"detail":"Invalid token."}'),
    "inactive": ("UPDATE auth_user SET is_active = false", b'{"detail":"User inactive or deleted."}'),
}


@pytest.mark.parametrize("how", TAKEN_AWAY)
def test_what_is_taken_away_is_refused_once_it_is_replayed(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated, how: str
) -> None:
    """Until then it works: the lag that the README tells of."""
    statement, body = TAKEN_AWAY[how]
    with start_binary(pair, database.url, told(database), own_bench.log("ours")) as service:
        wait_until_used(service, database)
        database.standby.pause()
        try:
            database.connection.execute(statement.encode())
            late = ask(service, SECRET)
        finally:
            database.standby.resume()
        refused = ask(service, SECRET)
    assert (late.status, refused.status, refused.answer.body) == (200, 401, body)


def test_a_replica_that_hangs_is_given_up_within_its_time(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    """Its replay stops with a lock that the primary has given back, so that look-ups wait for ever."""
    settings = told(database, DATABASE_REPLICA_TIMEOUT=0.1)
    with start_binary(pair, database.url, settings, own_bench.log("ours")) as service:
        wait_until_used(service, database)
        with psycopg.connect(database.url) as holder:
            holder.execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
            database.standby.catch_up()
            database.standby.pause()
        try:
            with Load(service.address, [SECRET, login_bytes(ALICE)]) as load:
                load.wait_for(2000)
            assert "did not answer in time" in service.process.log_text()
        finally:
            database.standby.resume()
        wait_until_used(service, database)
    assert load.all_are(200, 2000)


def test_a_service_starts_without_its_replica_and_finds_it_later(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    database.standby.stop()
    try:
        service = start_binary(pair, database.url, told(database), own_bench.log("ours"))
        service.process.wait_for("the replica cannot be used")
        assert [ask(service, request).status for request in (SECRET, NOBODYS)] == [200, 401]
        checked = run_binary("check", url=database.url, **texts(told(database)))
    finally:
        database.standby.start()
    with service:
        wait_until_used(service, database)
    assert checked.returncode == 0
    assert "DATABASE_REPLICA_URL: (drf_authtoken.W003)" in checked.stderr


def texts(settings: dict[str, object]) -> dict[str, str]:
    """For the environment."""
    return {name: str(value) for name, value in settings.items()}


def test_an_option_that_is_not_known_is_not_logged_with_its_value(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    """libpq's `sslpassword` is a secret; sqlx warns of what it does not know."""
    secret = "?sslpassword=hunter2"
    settings = told(database, LOG_LEVEL="trace")
    settings["DATABASE_REPLICA_URL"] = f"{settings['DATABASE_REPLICA_URL']}{secret}"
    with start_binary(pair, database.url + secret, settings, own_bench.log("ours")) as service:
        wait_until_used(service, database)
    checked = run_binary("check", url=database.url + secret, **texts(settings))
    assert checked.returncode == 0
    assert "hunter2" not in service.process.log_text() + checked.stdout + checked.stderr


def test_check_looks_at_the_replica(own_bench: Bench, pair: Pair, kind: str, database: Replicated) -> None:
    """A standby is well; another primary is no replica, whatever it holds."""
    well = run_binary("check", url=database.url, **texts(told(database)))
    assert (well.returncode, well.stderr) == (0, ""), well
    other = told(database, DATABASE_REPLICA_URL=own_bench.empty_url(kind))
    wrong = run_binary("check", url=database.url, **texts(other))
    assert wrong.returncode == 0
    assert "DATABASE_REPLICA_URL: (drf_authtoken.W004)" in wrong.stderr


def test_the_metrics_tell_that_the_replica_is_used(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    settings = told(database, OPERATIONS_BIND="127.0.0.1:0")
    with start_binary(pair, database.url, settings, own_bench.log("ours")) as service:
        operations = service.operations().address
        wait_until_used(service, database)
        answer = wire.exchange(operations, b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")
        ready = wire.exchange(operations, b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n")
    found = re.search(rb"^drf_authtoken_replica_lookups_total ([1-9][0-9]*)$", answer.body, re.M)
    assert found, answer.body
    assert ready.status == 200


def test_every_answer_and_row_is_djangos_with_a_replica_that_stops_and_starts(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated, allowances: Allowances
) -> None:
    """All cases of a plain site: a third with it, a third without it, a third with it again."""
    cases, standby = cases_of_a_plain_site(pair), database.standby
    env = texts({name: value for name, value in told(database).items() if name.startswith("DATABASE_")})
    with closing(own_bench.database(pair, kind)) as first:
        rig = plain_rig(own_bench, pair, first, database, database.url, env)
        found, used = [], []
        database.reset([ALICE])
        wait_until_used(rig.ours, database)
        for step, part in enumerate([cases[0::3], cases[1::3], cases[2::3]]):
            if step == 1:
                standby.stop()
            if step == 2:
                standby.start()
                database.reset([ALICE])
                wait_until_used(rig.ours, database)
            before = looked_up(standby, database)
            found += faults_of(rig, part, allowances)
            used.append(looked_up(standby, database) - before)
        rig.stop()
    assert not found, "\n".join(found)
    assert used[0] > 20 and used[1] == 0 and used[2] > 20, used


def test_a_replica_that_is_away_is_left_alone(
    own_bench: Bench, pair: Pair, kind: str, database: Replicated
) -> None:
    """Somebody else is at its port and hangs up: an attempt a second of the one thread that answers."""
    database.standby.stop()
    tried: list[float] = []
    try:
        with socket.create_server(("127.0.0.1", database.standby.port)) as listener:
            hang_up = threading.Thread(target=count_connections, args=(listener, tried))
            hang_up.start()
            service = start_binary(pair, database.url, told(database), own_bench.log("ours"))
            with service, Load(service.address, [SECRET]) as load:
                load.wait_for(5000)
            listener.shutdown(socket.SHUT_RDWR)
            hang_up.join()
    finally:
        database.standby.start()
    assert load.all_are(200, 5000)
    assert tried and all(later - sooner > 0.9 for sooner, later in pairwise(tried)), tried


def count_connections(listener: socket.socket, tried: list[float]) -> None:
    """Notes when each comes, and closes it."""
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()
            tried.append(time.monotonic())
