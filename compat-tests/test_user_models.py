"""User models of a site's own: what the export tells, both services on one database, the commands."""

from __future__ import annotations

import tomllib

import pytest

from bench import Bench
from databases import USER_TABLES
from services import Pair, export, run_binary
from sites import SITES
from test_shared import REFUSED, alice, bob, check_sharing, login, outdated, side
from wire import simple

pytestmark = pytest.mark.usefixtures("binary")
TOLD = {
    "email-user": ("Email Users", "uid", "uuid", "e_mail", "password_hash", "active"),
    "number-user": ("accounts.user", "id", "bigint", "username", "password", "is_active"),
    "bare-user": ("accounts_bareuser", "name", "text", "name", "password", "None"),
}


def test_the_export_tells_the_model_and_commands_that_need_djangos_refuse(
    bench: Bench, pair: Pair, kind: str, user_site: str
) -> None:
    settings = SITES[user_site]
    url = bench.migrated_url(pair, kind, settings)
    done = export(pair, url, settings)
    assert done.returncode == 0, done.stderr
    path = bench.log("exported").with_suffix(".toml")
    path.write_text(done.stdout)
    file = tomllib.loads(done.stdout)
    names = ("TABLE", "PK_COLUMN", "PK_TYPE", "USERNAME_COLUMN", "PASSWORD_COLUMN", "IS_ACTIVE_COLUMN")
    table, *columns = TOLD[user_site]
    table = table if kind == "postgres" else table.replace(".", "_")
    assert tuple(file[f"AUTH_USER_{name}"] for name in names) == (table, *columns)
    forward = run_binary("check", "--settings", path, url=url, FORWARD_AUTH="true")
    assert forward.returncode == 1
    assert f"{table}.is_staff: (drf_authtoken.E002)" in forward.stderr
    for command in ("migrate", "createsuperuser", "changepassword"):
        refused = run_binary(command, "--settings", path, url=url)
        assert refused.returncode == 1
        assert f"Run `python manage.py {command}` in the Django project." in refused.stderr


def test_both_services_share_the_tokens_and_the_hashes(
    bench: Bench, pair: Pair, kind: str, user_site: str, ours: str
) -> None:
    rig = bench.rig(pair, kind, user_site, ours=ours, shared=True)
    for first, second in (("django", "ours"), ("ours", "django")):
        rig.our_db.reset([alice, bob, outdated])
        check_sharing(rig, first, second)
        if "is_active" in USER_TABLES[SITES[user_site]["AUTH_USER_MODEL"]].columns:
            rig.orm.ask("update_user", username="alice", is_active=False)
            assert login(side(rig, second), alice).body == REFUSED
    made = run_binary(
        "drf_create_token", "bob", "--settings", rig.ours.process.log.with_suffix(".toml"), url=rig.our_db.url
    )
    assert made.returncode == 0, made.stderr
    key = made.stdout.split()[2]
    answer = simple(rig.django.address, "GET", "/secret/", Authorization=f"Token {key}")
    assert answer.status == 200
