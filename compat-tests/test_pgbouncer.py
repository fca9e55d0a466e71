"""Behind PgBouncer, which gives each transaction another server: the same answers, under load too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench import Bench, Rig
from clients import ALICE, KEY, SECRET, login_bytes
from databases import User
from differences import Allowances
from load import Load
from plain_site import cases_of_a_plain_site, faults_of, faults_of_a_plain_site, plain_rig
from pooler import start_pgbouncer, version
from processes import StartError
from services import Pair, Service, run_binary, start_binary

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

CLIENTS = 64
POOL = {"pool_mode": "transaction", "default_pool_size": 4, "max_db_connections": 4}
POOLED = {"DATABASE_TRANSACTION_POOLING": True}
QUICK = {"PBKDF2_ITERATIONS": 1000, "DATABASE_CONNECTIONS": 16}


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str) -> Iterator[Rig]:
    """Django beside its database, and us behind the pooler."""
    with closing(bench.database(pair, kind)) as first, closing(bench.database(pair, kind)) as second:
        pooler, through = start_pgbouncer(bench, second.url, POOL)
        rig = plain_rig(bench, pair, first, second, through, DISABLE_SERVER_SIDE_CURSORS=True)
        yield rig
        rig.stop()
        pooler.stop()


def test_the_pooler_prepares_nothing_by_name(kind: str) -> None:
    """The version that the README names; from 1.21 on there is `max_prepared_statements`."""
    assert re.fullmatch(r"PgBouncer 1\.18\.[0-9]+", version())


def test_every_answer_and_row_is_djangos_behind_a_pooler(rig: Rig, allowances: Allowances) -> None:
    assert not faults_of_a_plain_site(rig, allowances)


def test_logins_and_checks_are_djangos_while_64_clients_use_the_pool(
    rig: Rig, allowances: Allowances
) -> None:
    """The clients' answers do not depend on the rows that a case puts there, and change none."""
    some = [
        case
        for case in cases_of_a_plain_site(rig.pair)
        if case.id.startswith(("login-", "secret-", "token-rows"))
    ]
    assert len(some) > 150
    unknown = SECRET.replace(KEY.encode(), b"f" * 40)
    nobody = login_bytes(User("nobody", "wrong", ""))
    with Load(rig.ours.address, [nobody, unknown], CLIENTS) as load:
        load.wait_for(CLIENTS)
        before = load.answers.total()
        found = faults_of(rig, some, allowances)
        after = load.answers.total()
    assert not found, "\n".join(found)
    assert (load.failures, set(load.answers)) == ([], {400, 401})
    assert after - before > 10 * len(some), "the clients hardly asked"


@pytest.fixture
def through(bench: Bench, pair: Pair, kind: str) -> Iterator[str]:
    """The URL of a database with alice, through the pooler."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        pooler, url = start_pgbouncer(bench, database.url, POOL)
        yield url
        pooler.stop()


def loaded(service: Service) -> Load:
    """64 clients that log in and ask."""
    with Load(service.address, [SECRET, login_bytes(ALICE), SECRET, SECRET], CLIENTS) as load:
        load.wait_for(4000)
    return load


def test_four_servers_are_enough_for_64_clients(bench: Bench, pair: Pair, through: str) -> None:
    with start_binary(pair, through, QUICK | POOLED, bench.log("ours")) as service:
        load = loaded(service)
    assert (load.failures, set(load.answers)) == ([], {200})


def test_without_the_setting_the_pooler_is_seen(bench: Bench, pair: Pair, through: str) -> None:
    """The mutant of the test above: another server meets a named statement, at once or under load."""
    try:
        with start_binary(pair, through, QUICK, bench.log("ours")) as service:
            load = loaded(service)
    except StartError as error:
        assert "prepared statement" in str(error)
    else:
        assert set(load.answers) == {200, 503}


def test_commands_go_through_a_pooler_but_for_migrate(through: str) -> None:
    """`check` and `drf_create_token` work; the locks of `migrate` want the server itself, and it says so."""
    env = {"url": through, "DATABASE_TRANSACTION_POOLING": "true"}
    assert run_binary("check", **env).returncode == 0
    made = run_binary("drf_create_token", "alice", **env)
    assert ALICE.token and ALICE.token in made.stdout
    refused = run_binary("migrate", **env)
    assert refused.returncode == 1
    assert "DATABASE_TRANSACTION_POOLING" in refused.stderr
