"""The site with DRF's defaults: sessions that Django makes and both services read, and their bounds."""

from __future__ import annotations

import re
import tomllib
from contextlib import closing

import pytest

import wire
from bench import Bench, Rig
from services import Orm, Pair, Service, export, run_binary, start_exported
from sessions import SECRET_KEY
from sites import SITES
from test_shared import alice, bob, check_sharing, outdated, secret, side

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]
SITE = "drf-defaults"
WAYS = pytest.mark.parametrize(("first", "second"), [("django", "ours"), ("ours", "django")])


@pytest.fixture
def rig(bench: Bench, pair: Pair, kind: str, ours: str) -> Rig:
    """Both on one database, with three users in it."""
    rig = bench.rig(pair, kind, SITE, ours=ours, shared=True)
    rig.our_db.reset([alice, bob, outdated])
    return rig


def visit(service: Service, session: str, method: str = "GET", csrf: str = "", **more: str) -> int:
    """The status for a browser with that session, and perhaps a CSRF cookie."""
    cookie = f"sessionid={session}; csrftoken={csrf}" if csrf else f"sessionid={session}"
    return wire.simple(service.address, method, "/secret/", body=b"", Cookie=cookie, **more).status


def both(rig: Rig, session: str) -> set[int]:
    return {visit(service, session) for service in (rig.django, rig.ours)}


def test_the_export_tells_the_site_and_check_says_yes(bench: Bench, pair: Pair, kind: str) -> None:
    url = bench.migrated_url(pair, kind)
    done = export(pair, url, SITES[SITE])
    assert (done.returncode, done.stderr) == (0, "")
    path = bench.log("exported").with_suffix(".toml")
    path.write_text(done.stdout)
    file = tomllib.loads(done.stdout)
    assert "REFUSALS" not in file
    assert file["SECRET_KEY"] == SECRET_KEY and file["LANGUAGE_CODE"] == "de"
    classes = [name.rpartition(".")[2] for name in file["DEFAULT_AUTHENTICATION_CLASSES"]]
    assert classes == ["SessionAuthentication", "BasicAuthentication", "TokenAuthentication"]
    checked = run_binary("check", "--settings", path, url=url)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("System check identified no issues (0 silenced).\n")
    assert SECRET_KEY not in checked.stdout and file["SECRET_KEY_FALLBACKS"][0] not in checked.stdout


@WAYS
def test_both_services_share_the_tokens_the_hashes_and_the_sessions(
    rig: Rig, first: str, second: str
) -> None:
    check_sharing(rig, first, second, refused=403)
    told = rig.orm.ask("log_in", username="alice")
    assert both(rig, told["session"]) == {200}
    for shown in (told["csrf"], told["shown"]):
        refused = visit(side(rig, second), told["session"], "DELETE", csrf=told["csrf"])
        passed = visit(side(rig, second), told["session"], "DELETE", csrf=told["csrf"], X_CSRFToken=shown)
        assert (refused, passed) == (403, 405)


def test_a_session_ends_at_once_for_both(rig: Rig) -> None:
    told = rig.orm.ask("log_in", username="alice", cart=["x" * 5000])
    assert both(rig, told["session"]) == {200}
    rig.orm.ask("log_out", session=told["session"])
    assert both(rig, told["session"]) == {403}
    told = rig.orm.ask("log_in", username="alice")
    rig.orm.ask("update_user", username="alice", is_active=False)
    assert both(rig, told["session"]) == {403}
    rig.orm.ask("update_user", username="alice", is_active=True)
    assert both(rig, told["session"]) == {200}
    rig.orm.ask("set_password", username="alice", password="another one")
    # Ours first: Django deletes it.
    assert visit(rig.ours, told["session"]) == visit(rig.django, told["session"]) == 403


def test_a_session_over_the_bound_is_nobodys(rig: Rig) -> None:
    for length, ours in ((600_000, 200), (1_500_000, 403)):
        told = rig.orm.ask("log_in", username="alice", cart=noise(length))
        assert visit(rig.django, told["session"]) == 200
        assert visit(rig.ours, told["session"]) == ours
    # Small, until it is unpacked.
    for length, ours in ((3_000_000, 200), (5_000_000, 403)):
        told = rig.orm.ask("log_in", username="alice", cart="a" * length)
        assert visit(rig.django, told["session"]) == 200
        assert visit(rig.ours, told["session"]) == ours


def noise(length: int) -> str:
    """Digits that cannot be packed well: about half as long in base64 of their packed form."""
    seed, numbers = 1, list[str]()
    while len(numbers) * 8 < length:
        seed = seed * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        numbers.append(f"{seed >> 32:08x}")
    return "".join(numbers)


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_class_costs_nothing_where_its_credentials_are_not_sent(
    bench: Bench, pair: Pair, kind: str
) -> None:
    with closing(bench.database(pair, kind)) as database:
        database.reset([alice, bob])
        name = database.url.rsplit("/", 1)[1]
        bench.cluster.log_statements(name)

        def statements() -> list[str]:
            log = bench.cluster.process.log_text()
            return re.findall(rf"<{name}> LOG:  execute [^:]*: (.*)", log)

        orm = Orm(pair, database.url, SITES[SITE])
        session = orm.ask("log_in", username="alice")["session"]
        orm.stop()
        log = bench.log("ours")
        with start_exported(
            pair, database.url, SITES[SITE], log, LOG_LEVEL="trace", LOG_REQUESTS="true"
        ) as service:
            assert secret(service, alice.token or "").status == 200
            before = len(statements())
            assert secret(service, alice.token or "").status == 200
            assert ["authtoken_token" in one for one in statements()[before:]] == [True]
            before = len(statements())
            assert visit(service, session) == 200
            assert [one.split("FROM ")[1].split()[0] for one in statements()[before:]] == [
                '"django_session"',
                '"auth_user"',
            ]
            before = len(statements())
            assert visit(service, "short") == 403
            assert wire.simple(service.address, "GET", "/secret/").status == 403
            assert len(statements()) == before
        text = log.read_text()
        assert "answered" in text, "nothing was logged"
        for kept in (session, SECRET_KEY, alice.encoded):
            assert kept not in text
