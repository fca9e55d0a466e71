"""A database made by our `migrate` is one that Django made."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import wire
from admin import AdminSession
from bench import Bench
from clients import ALICE, SECRET, login_bytes
from schema import execute, rows, select, shape
from services import Pair, run_binary, start_binary, start_django
from sites import QUICK_HASH

pytestmark = pytest.mark.usefixtures("binary")


@pytest.fixture
def url(bench: Bench, kind: str) -> str:
    """A database that our `migrate` has just made."""
    url = bench.empty_url(kind)
    done = run_binary("migrate", url=url)
    assert done.returncode == 0, done.stderr
    assert "Applying authtoken.0004_alter_tokenproxy_options... OK" in done.stdout
    return url


def test_django_has_nothing_to_migrate(pair: Pair, url: str) -> None:
    """For a site with contenttypes, auth and authtoken."""
    for command in (
        ["migrate", "--check"],
        ["makemigrations", "--check"],
        ["check", "--database", "default"],
    ):
        done = pair.run(*command, url=url, SITE_APPS="bare")
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    done = pair.run("migrate", url=url, SITE_APPS="bare")
    assert "No migrations to apply." in done.stdout, done.stdout + done.stderr


def test_tables_and_rows_are_djangos(bench: Bench, pair: Pair, kind: str, url: str) -> None:
    theirs = bench.empty_url(kind)
    done = pair.run("migrate", url=theirs, SITE_APPS="bare")
    assert done.returncode == 0, done.stderr
    assert shape(url) == shape(theirs)
    # Before 6.1 Django numbered the models of an app in another order.
    numbered = pair.django == "6.1"
    assert rows(url, numbered=numbered) == rows(theirs, numbered=numbered)


@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["sqlite"])
def test_in_a_file_that_we_make_readers_pass_a_writer(bench: Bench, pair: Pair, url: str) -> None:
    """By a write-ahead log, which suits Django too; a file of Django's keeps the journal that it has."""
    theirs = bench.migrated_url(pair, "sqlite")
    assert pair.run("migrate", url=url).returncode == run_binary("migrate", url=theirs).returncode == 0
    for made, mode, status in ((url, "wal", 200), (theirs, "delete", 503)):
        with closing(bench.open(made)) as database:
            database.reset([ALICE])
        settings = QUICK_HASH | {"DATABASE_TIMEOUT": 1}
        ours = start_binary(pair, made, settings, bench.log("ours"))
        django = start_django(pair, made, QUICK_HASH, bench.log("django"))
        with ours, django, closing(sqlite3.connect(made.removeprefix("sqlite:///"))) as writer:
            for service in (django, ours):
                assert wire.exchange(service.address, login_bytes(ALICE)).status == 200
            assert select(made, "PRAGMA journal_mode") == [(mode,)]
            writer.execute("BEGIN EXCLUSIVE")
            assert wire.exchange(ours.address, SECRET).status == status


def test_a_second_run_has_nothing_to_do(url: str) -> None:
    before = rows(url)
    done = run_binary("migrate", url=url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No migrations to apply." in done.stdout
    assert rows(url) == before


def test_on_djangos_own_database_there_is_nothing_to_do(bench: Bench, pair: Pair, kind: str) -> None:
    theirs = bench.migrated_url(pair, kind)
    before = (shape(theirs), rows(theirs))
    done = run_binary("migrate", url=theirs)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No migrations to apply." in done.stdout
    assert (shape(theirs), rows(theirs)) == before


def test_a_full_site_adds_only_admin_and_sessions_and_our_superuser_logs_in(
    bench: Bench, pair: Pair, url: str
) -> None:
    made = run_binary(
        "createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com",
        url=url, DJANGO_SUPERUSER_PASSWORD="a long walk home", DJANGO_VERSION=pair.django,
    )  # fmt: skip
    assert (made.returncode, made.stdout, made.stderr) == (0, "Superuser created successfully.\n", "")
    done = pair.run("migrate", url=url)
    assert done.returncode == 0, done.stderr
    applied = {line.split()[1].split(".")[0] for line in done.stdout.splitlines() if "Applying" in line}
    assert applied == {"admin", "sessions"}
    service = start_django(pair, url, QUICK_HASH, bench.log("django"))
    try:
        admin = AdminSession(service, "root", "a long walk home")
        key = admin.add_token(1)
        assert admin.token_keys() == [key]
    finally:
        service.stop()


def test_a_database_without_record_of_migrations_is_left_alone(bench: Bench, pair: Pair, kind: str) -> None:
    theirs = bench.migrated_url(pair, kind)
    execute(theirs, "DROP TABLE django_migrations")
    done = run_binary("migrate", url=theirs)
    assert done.returncode == 1
    assert "django_migrations" in done.stderr


def test_a_database_behind_its_migrations_is_left_alone(bench: Bench, pair: Pair, kind: str) -> None:
    theirs = bench.migrated_url(pair, kind)
    execute(theirs, "DELETE FROM django_migrations WHERE app = 'authtoken'")
    done = run_binary("migrate", url=theirs)
    assert done.returncode == 1
    assert "authtoken.0001_initial" in done.stderr
    assert select(theirs, "SELECT count(*) FROM django_migrations WHERE app = 'authtoken'") == [(0,)]
