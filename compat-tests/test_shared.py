"""Shared mode: both services on one database, steps alternating; each sees at once what the other did."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from urllib.parse import quote, urlencode

import pytest

import wire
from admin import AdminSession
from bench import Bench, Rig
from cases import SALT, pbkdf2
from databases import User
from differences import Allowances
from schema import execute
from services import Orm, Pair, Service, run_binary, start_django, start_exported
from sites import SITES, SIX_SITES
from test_differential import faults_on

KEY = "0123456789abcdef0123456789abcdef01234567"
INVALID = b'{"detail":"Invalid token."}'
INACTIVE = b'{"detail":"User inactive or deleted."}'
REFUSED = b'{"non_field_errors":["Unable to log in with provided credentials."]}'
WAYS = pytest.mark.parametrize(("first", "second"), [("django", "ours"), ("ours", "django")])


@dataclass(frozen=True)
class Places:
    """Where a site has what it serves, and its keyword."""

    login: str = "/api-token-auth/"
    secret: str = "/secret/"
    keyword: str = "Token"


SEED = Places()
alice = User("alice", "wonderland", pbkdf2("sha256", 1000, SALT, "wonderland"), KEY)
bob = User("bob", "builder", pbkdf2("sha256", 1000, SALT, "builder"))
outdated = User("olga", "outdated", pbkdf2("sha256", 500, "salt", "outdated"))


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, ours: str) -> Rig:
    """Both on one database, with alice and bob in it."""
    rig = bench.rig(pair, kind, ours=ours, shared=True)
    rig.our_db.reset([alice, bob])
    return rig


def side(rig: Rig, name: str) -> Service:
    return rig.django if name == "django" else rig.ours


def login(service: Service, user: User, places: Places = SEED) -> wire.Response:
    body = json.dumps({"username": user.name, "password": user.password}).encode()
    return wire.simple(service.address, "POST", places.login, body=body, Content_Type="application/json")


def key_of(answer: wire.Response) -> str:
    assert answer.status == 200, answer
    key: str = json.loads(answer.body)["token"]
    return key


def secret(service: Service, key: str, places: Places = SEED) -> wire.Response:
    return wire.simple(service.address, "GET", places.secret, Authorization=f"{places.keyword} {key}")


def check_sharing(rig: Rig, first: str, second: str, refused: int = 401, places: Places = SEED) -> None:
    """What one makes of bob and olga is the other's at once: the token, its end, the renewed hash."""
    key = key_of(login(side(rig, first), bob, places))
    assert secret(side(rig, second), key, places).status == 200
    assert key_of(login(side(rig, second), bob, places)) == key
    assert rig.orm.ask("delete_token", username="bob") == 1
    assert secret(side(rig, second), key, places).status == refused
    key_of(login(side(rig, first), outdated, places))
    renewed = rig.orm.ask("password", username="olga")
    assert renewed.startswith("pbkdf2_sha256$1000$")
    key_of(login(side(rig, second), outdated, places))
    assert rig.orm.ask("password", username="olga") == renewed


@WAYS
def test_a_token_made_by_one_opens_the_other(rig: Rig, first: str, second: str) -> None:
    key = key_of(login(side(rig, first), bob))
    assert secret(side(rig, second), key).status == 200
    assert key_of(login(side(rig, second), bob)) == key


@pytest.mark.newest_only
@WAYS
@pytest.mark.parametrize(
    "path", ["/api/v1/token", "/api/v1/token/", "/api/v1/login.json", "/api-token-auth/"]
)
def test_a_site_with_a_prefix_three_logins_and_bearer_shares_them_all(
    bench: Bench, pair: Pair, kind: str, ours: str, first: str, second: str, path: str
) -> None:
    rig = bench.rig(pair, kind, "prefix-bearer", ours=ours, shared=True)
    rig.our_db.reset([alice, bob, outdated])
    places = Places(path, "/api/v1/secret/", "Bearer")
    assert [secret(side(rig, name), KEY, places).status for name in (first, second)] == [200, 200]
    check_sharing(rig, first, second, places=places)
    for name in (first, second):
        assert secret(side(rig, name), KEY, Places(path, places.secret, "Token")).status == 401


@pytest.fixture
def in_a_schema(bench: Bench, pair: Pair) -> Iterator[Rig]:
    """Both on tables that only the options of the database's URL lead to."""
    url = bench.empty_url("postgres")
    name = bench.name("runner")
    execute(
        url,
        "CREATE SCHEMA site",
        f"CREATE ROLE {name} SUPERUSER LOGIN",
        f"ALTER ROLE {name} SET search_path = site",
    )
    told = f"{url}?{urlencode({'options': '-c search_path=site'}, quote_via=quote)}"
    pair.migrate(told)
    database = bench.open(url.replace("postgres:unused@", f"{name}:unused@"))
    settings = SITES["plain"]
    django = start_django(pair, told, settings, bench.log("django"))
    ours = start_exported(pair, told, settings, bench.log("ours"))
    rig = Rig(pair, django, database, ours, database, Orm(pair, told, settings))
    yield rig
    rig.stop()
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.mark.usefixtures("binary")
@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["postgres"])
def test_a_site_whose_options_name_a_schema_is_checked_and_shared(in_a_schema: Rig, kind: str) -> None:
    rig = in_a_schema
    file = rig.ours.process.log.with_suffix(".toml")
    url = tomllib.loads(file.read_text())["DATABASE_URL"]
    assert url.endswith("?options=-c%20search_path%3Dsite")
    for where, issues in ((url, 0), (url.split("?")[0], 1)):
        assert run_binary("check", "--settings", file, url=where).returncode == issues, where
    for first, second in (("django", "ours"), ("ours", "django")):
        rig.our_db.reset([alice, bob, outdated])
        check_sharing(rig, first, second)


@pytest.mark.newest_only
@pytest.mark.parametrize(("kind", "site"), [*(("sqlite", site) for site in SIX_SITES), ("postgres", "plain")])
def test_all_cases_of_the_seed_hold_on_one_database(
    bench: Bench, pair: Pair, kind: str, site: str, ours: str, allowances: Allowances
) -> None:
    """On each of the six sites: what one did just before changes nothing of what the other does."""
    found = faults_on(bench.rig(pair, kind, site, ours=ours, shared=True), site, ours, allowances)
    assert not found, "\n".join(found)


@WAYS
def test_a_token_deleted_in_the_orm_closes_both_on_the_next_request(
    rig: Rig, first: str, second: str
) -> None:
    key = key_of(login(side(rig, first), bob))
    assert secret(side(rig, second), key).status == 200
    assert rig.orm.ask("delete_token", username="bob") == 1
    assert (secret(side(rig, second), key).status, secret(side(rig, second), key).body) == (401, INVALID)
    assert key_of(login(side(rig, second), bob)) != key


def test_a_user_made_inactive_is_out_at_once_and_in_again_at_once(rig: Rig) -> None:
    assert secret(rig.ours, KEY).status == 200
    rig.orm.ask("update_user", username="alice", is_active=False)
    assert secret(rig.ours, KEY).body == secret(rig.django, KEY).body == INACTIVE
    assert login(rig.ours, alice).body == login(rig.django, alice).body == REFUSED
    rig.orm.ask("update_user", username="alice", is_active=True)
    assert secret(rig.ours, KEY).status == 200


def test_a_deleted_user_takes_his_token_with_him(rig: Rig) -> None:
    assert secret(rig.ours, KEY).status == 200
    rig.orm.ask("delete_user", username="alice")
    assert secret(rig.ours, KEY).body == secret(rig.django, KEY).body == INVALID


def test_a_renamed_user_logs_in_by_the_new_name(rig: Rig) -> None:
    rig.orm.ask("update_user", username="alice", new_name="alicia")
    assert login(rig.ours, alice).body == REFUSED
    assert key_of(login(rig.ours, User("alicia", "wonderland", ""))) == KEY


def test_a_password_set_by_django_counts_at_once(rig: Rig) -> None:
    key_of(login(rig.ours, alice))
    encoded = rig.orm.ask("set_password", username="alice", password="mirror")
    assert login(rig.ours, alice).body == REFUSED
    assert key_of(login(rig.ours, User("alice", "mirror", ""))) == KEY
    assert rig.orm.ask("user", username="alice")["password"] == encoded


@WAYS
def test_a_hash_made_anew_by_one_is_final_for_the_other(rig: Rig, first: str, second: str) -> None:
    rig.our_db.reset([outdated])
    key = key_of(login(side(rig, first), outdated))
    renewed = rig.orm.ask("user", username="olga")["password"]
    assert renewed.startswith("pbkdf2_sha256$1000$")
    assert renewed != outdated.encoded
    assert key_of(login(side(rig, second), outdated)) == key
    assert rig.orm.ask("user", username="olga")["password"] == renewed


def test_the_admin_gives_takes_and_sees_our_tokens(rig: Rig) -> None:
    rig.our_db.reset([alice, bob])
    rig.orm.ask("create_superuser", username="root", password="rooted")
    admin = AdminSession(rig.django, "root", "rooted")
    key = admin.add_token(2)
    assert secret(rig.ours, key).status == 200
    assert key_of(login(rig.ours, bob)) == key
    admin.delete_token(2)
    assert (secret(rig.ours, key).status, secret(rig.ours, key).body) == (401, INVALID)
    made = key_of(login(rig.ours, bob))
    assert made in admin.token_keys()
    assert secret(rig.django, made).status == 200
    admin.delete_token(2)
    assert secret(rig.ours, made).body == INVALID


@pytest.mark.parametrize("user", [bob, outdated], ids=["first-login", "first-login-under-an-old-hash"])
def test_sixteen_first_logins_at_once_get_one_key(rig: Rig, user: User) -> None:
    """Half of them at each side, twenty rounds; nobody may get an error."""
    for _ in range(20):
        rig.our_db.reset([alice, user])
        assert len(race(rig, user)) == 1
        (row,) = (row for row in rig.our_db.snapshot().tokens.values() if row["user_id"] == 2)
        assert secret(rig.ours, row["key"]).status == 200
        assert key_of(login(rig.django, user)) == row["key"]


def race(rig: Rig, user: User) -> set[str]:
    """All start when all are ready; the keys that were answered."""
    start = Barrier(16)

    def one(number: int) -> str:
        start.wait()
        return key_of(login((rig.django, rig.ours)[number % 2], user))

    with ThreadPoolExecutor(16) as pool:
        return set(pool.map(one, range(16)))
