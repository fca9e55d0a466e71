"""Tables that others have changed: more columns, indexes and tables, a longer column while we serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from bench import Bench
from cases import SALT, pbkdf2
from clients import ALICE, SECRET, ask, ask_all, login_bytes
from databases import Database, User
from schema import execute
from services import Pair, Service, run_binary, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

CONNECTIONS = 4
SETTINGS = {"PBKDF2_ITERATIONS": 1000, "DATABASE_CONNECTIONS": CONNECTIONS}
BOB = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
OLGA = User("olga", "outdated", pbkdf2("sha256", 500, "salt", "outdated"))
MORE = (
    "ALTER TABLE auth_user ADD COLUMN phone varchar(20) NOT NULL DEFAULT '-'",
    "ALTER TABLE auth_user ADD COLUMN key integer NOT NULL DEFAULT 7",
    "ALTER TABLE authtoken_token ADD COLUMN username varchar(20) NOT NULL DEFAULT '-'",
    "ALTER TABLE authtoken_token ADD COLUMN is_active boolean NOT NULL DEFAULT false",
    "ALTER TABLE authtoken_token ADD COLUMN id integer NOT NULL DEFAULT 7",
    "CREATE INDEX more_users ON auth_user (is_active, username)",
    "CREATE INDEX more_tokens ON authtoken_token (created)",
    "CREATE TABLE unrelated (id integer PRIMARY KEY, user_id integer NULL REFERENCES auth_user (id))",
)


@pytest.fixture
def database(bench: Bench, pair: Pair, kind: str) -> Iterator[Database]:
    """A database with alice, bob without a token, and olga with an outdated hash."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE, BOB, OLGA])
        yield database


def works(service: Service, database: Database) -> None:
    """A look-up, a login, a first login, and one that renews its hash."""
    database.reset([ALICE, BOB, OLGA])
    assert [ask(service, request).status for request in (SECRET, login_bytes(ALICE))] == [200, 200]
    assert [ask(service, login_bytes(user)).status for user in (BOB, OLGA)] == [200, 200]
    rows = database.snapshot()
    assert len(rows.tokens) == 3
    assert rows.users["3"]["password"] != OLGA.encoded


def test_more_columns_and_tables_do_no_harm(bench: Bench, pair: Pair, database: Database) -> None:
    execute(database.url, *MORE)
    checked = run_binary("check", url=database.url, PBKDF2_ITERATIONS="1000")
    assert (checked.returncode, checked.stderr.count("ERROR")) == (0, 0), checked
    with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
        works(service, database)


def test_they_may_come_under_a_running_service(bench: Bench, pair: Pair, database: Database) -> None:
    with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
        works(service, database)
        execute(database.url, *MORE)
        works(service, database)


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_column_may_become_longer_under_a_running_service(
    bench: Bench, pair: Pair, database: Database
) -> None:
    """Each connection has prepared its statements for the old type."""
    with start_binary(pair, database.url, SETTINGS, bench.log("ours")) as service:
        for length in (254, 300):
            works(service, database)
            ask_all(service, [SECRET, login_bytes(ALICE)] * (4 * CONNECTIONS))
            for table, column in (
                ("auth_user", "username"),
                ("auth_user", "password"),
                ("authtoken_token", "key"),
            ):
                execute(database.url, f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar({length})")
                found = ask_all(service, [SECRET, login_bytes(ALICE)] * (2 * CONNECTIONS))
                assert {one.status for one in found} == {200}, (table, column, found)


@pytest.mark.parametrize("kind", ["postgres"])
def test_tokens_of_users_of_the_same_name_in_another_schema_are_seen(
    bench: Bench, pair: Pair, kind: str, database: Database
) -> None:
    """`auth_user` and `other.auth_user` are two tables, whose ids mean different people."""
    execute(
        database.url,
        "CREATE SCHEMA other",
        "CREATE TABLE other.auth_user (LIKE auth_user INCLUDING ALL)",
        "INSERT INTO other.auth_user SELECT * FROM auth_user",
    )
    told = {"url": database.url, "PBKDF2_ITERATIONS": "1000"}
    well = run_binary("check", AUTH_USER_TABLE="public.auth_user", **told)
    assert well.returncode == 0, well
    wrong = run_binary("check", AUTH_USER_TABLE="other.auth_user", **told)
    assert wrong.returncode == 1
    assert (
        "(drf_authtoken.E006) tokens belong to the users of the table auth_user, not of other."
        in wrong.stderr
    )
    execute(
        database.url,
        "ALTER TABLE authtoken_token DROP CONSTRAINT authtoken_token_user_id_35299eff_fk_auth_user_id",
        "ALTER TABLE authtoken_token ADD FOREIGN KEY (user_id) REFERENCES other.auth_user (id)",
    )
    assert run_binary("check", AUTH_USER_TABLE="other.auth_user", **told).returncode == 0
    stray = run_binary("check", **told)
    assert "(drf_authtoken.E006) tokens belong to the users of the table other.auth_user" in stray.stderr
