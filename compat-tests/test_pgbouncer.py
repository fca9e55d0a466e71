"""Behind PgBouncer, which gives each transaction another server: the same answers, under load too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from bench import Bench, Rig
from clients import ALICE, SECRET, login_bytes
from differences import Allowances
from load import Load
from plain_site import faults_of_a_plain_site, plain_rig
from processes import Process, StartError, free_port
from services import DEBIAN, Pair, Service, run_binary, start_binary

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

SERVERS, CLIENTS = 4, 64
POOLED = {"DATABASE_TRANSACTION_POOLING": True}
QUICK = {"PBKDF2_ITERATIONS": 1000, "DATABASE_CONNECTIONS": 16}
PGBOUNCER = """[databases]
{name} = host=127.0.0.1 port={postgres} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_db_connections = {servers}
ignore_startup_parameters = extra_float_digits
"""


def start_pgbouncer(bench: Bench, url: str) -> tuple[Process, str]:
    """It, and the URL of the database through it."""
    port, name, folder = free_port(), url.rsplit("/", 1)[1], bench.folder / bench.name("pgbouncer")
    folder.mkdir()
    file = folder / "pgbouncer.ini"
    text = PGBOUNCER.format(name=name, postgres=bench.cluster.port, port=port, servers=SERVERS)
    file.write_text(text)
    unpacked = DEBIAN / "sbin/pgbouncer"
    program = unpacked if unpacked.exists() else "/usr/sbin/pgbouncer"
    # It refuses root, like PostgreSQL.
    process = Process([program, file], log=bench.log("pgbouncer"), user=bench.cluster.user)
    process.wait_for_port(("127.0.0.1", port))
    return process, f"postgres://postgres:unused@127.0.0.1:{port}/{name}"


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str) -> Iterator[Rig]:
    """Django beside its database, and us behind the pooler."""
    with closing(bench.database(pair, kind)) as first, closing(bench.database(pair, kind)) as second:
        pooler, through = start_pgbouncer(bench, second.url)
        rig = plain_rig(bench, pair, first, second, through, DISABLE_SERVER_SIDE_CURSORS=True)
        yield rig
        rig.stop()
        pooler.stop()


def test_every_answer_and_row_is_djangos_behind_a_pooler(rig: Rig, allowances: Allowances) -> None:
    assert not faults_of_a_plain_site(rig, allowances)


@pytest.fixture
def through(bench: Bench, pair: Pair, kind: str) -> Iterator[str]:
    """The URL of a database with alice, through the pooler."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        pooler, url = start_pgbouncer(bench, database.url)
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
