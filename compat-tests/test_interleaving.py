"""What Django does to a user while our login is hashing counts: nothing is lost, nobody is let in."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

import psycopg
import pytest

import wire
from bench import Bench, Rig
from cases import SALT, pbkdf2
from databases import User
from services import Pair
from sites import SITES

ITERATIONS = int(SITES["slow"]["PBKDF2_ITERATIONS"])
REFUSED = b'{"non_field_errors":["Unable to log in with provided credentials."]}'
LOGIN = b'{"username":"slow","password":"tortoise"}'
TICK = os.sysconf("SC_CLK_TCK")
# Under `slow` the stored hash is up to date; under `plain` the login also wants to renew it.
SETTINGS = pytest.mark.parametrize("site", ["slow", "plain"])


@pytest.fixture(scope="session")
def slow_hash() -> str:
    return pbkdf2("sha256", ITERATIONS, SALT, "tortoise")


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, site: str, binary: str, slow_hash: str) -> Rig:
    rig = bench.rig(pair, kind, site, ours=binary, shared=True)
    rig.our_db.reset([User("slow", "tortoise", slow_hash)])
    return rig


def cpu_seconds(pid: int) -> float:
    """The processor time that our service has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def begin_login(rig: Rig) -> wire.Connection:
    """Sends a login and comes back when our service is seen hashing, the user's row already read."""
    pid = rig.ours.process.child.pid
    before = cpu_seconds(pid)
    connection = wire.Connection(rig.ours.address)
    head = b"POST /api-token-auth/ HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    connection.send(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(LOGIN) + LOGIN)
    while cpu_seconds(pid) < before + 0.05:
        assert not answered(connection), "hashing was too quick to be interrupted"
        time.sleep(0.005)
    return connection


def answered(connection: wire.Connection) -> bool:
    return bool(select.select([connection.socket], [], [], 0)[0])


def end_login(connection: wire.Connection) -> tuple[int, bytes]:
    """The answer, which must not have been there before the change."""
    assert not answered(connection), "the answer came before the change: nothing was proved"
    with connection:
        answer = connection.receive(to_the_end=True)
    return answer.status, answer.body


@SETTINGS
@pytest.mark.newest_only
def test_undisturbed_the_login_succeeds(rig: Rig, site: str, slow_hash: str) -> None:
    status, body = end_login(begin_login(rig))
    assert status == 200, body
    assert len(rig.orm.ask("tokens", username="slow")) == 1
    assert (rig.orm.ask("user", username="slow")["password"] == slow_hash) == (site == "slow")


@SETTINGS
@pytest.mark.newest_only
def test_a_password_changed_meanwhile_is_kept_and_no_token_is_made(rig: Rig) -> None:
    encoded = pbkdf2("sha256", 1000, SALT, "hare")
    connection = begin_login(rig)
    assert rig.orm.ask("update_user", username="slow", password=encoded) == 1
    assert end_login(connection) == (400, REFUSED)
    assert rig.orm.ask("user", username="slow")["password"] == encoded
    assert rig.orm.ask("tokens", username="slow") == []


@SETTINGS
@pytest.mark.newest_only
def test_a_user_made_inactive_meanwhile_gets_no_token(rig: Rig) -> None:
    connection = begin_login(rig)
    assert rig.orm.ask("update_user", username="slow", is_active=False) == 1
    assert end_login(connection) == (400, REFUSED)
    assert rig.orm.ask("tokens", username="slow") == []
    assert rig.orm.ask("user", username="slow")["is_active"] is False


@SETTINGS
@pytest.mark.newest_only
def test_a_user_deleted_meanwhile_gets_no_token(rig: Rig) -> None:
    connection = begin_login(rig)
    rig.orm.ask("delete_user", username="slow")
    assert end_login(connection) == (400, REFUSED)
    snapshot = rig.our_db.snapshot()
    assert (snapshot.users, snapshot.tokens) == ({}, {})


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("site", ["slow"])
@pytest.mark.newest_only
def test_a_user_deleted_while_the_token_is_written_gets_none(rig: Rig) -> None:
    """The row waits for the end of the deletion, and then refers to nobody."""
    waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with (
        psycopg.connect(rig.our_db.url, autocommit=True) as other,
        psycopg.connect(rig.our_db.url) as deleting,
    ):
        deleting.execute("DELETE FROM auth_user")
        connection = begin_login(rig)
        end = time.monotonic() + 60
        while other.execute(waits).fetchone() is None:
            assert not answered(connection) and time.monotonic() < end, "nothing waited: nothing was proved"
            time.sleep(0.005)
        deleting.commit()
    assert end_login(connection) == (400, REFUSED)
    snapshot = rig.our_db.snapshot()
    assert (snapshot.users, snapshot.tokens) == ({}, {})


@SETTINGS
@pytest.mark.newest_only
def test_an_old_token_is_not_answered_for_a_password_changed_meanwhile(rig: Rig) -> None:
    key = rig.orm.ask("create_token", username="slow")
    connection = begin_login(rig)
    encoded = pbkdf2("sha256", 1000, SALT, "hare")
    rig.orm.ask("update_user", username="slow", password=encoded)
    assert end_login(connection) == (400, REFUSED)
    assert rig.orm.ask("tokens", username="slow") == [key]
