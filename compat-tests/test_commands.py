"""The commands beside `migrate`: what they do, say and end with, next to Django's own."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import wire
from bench import Bench
from cases import pbkdf2
from databases import User
from faults_clock import library
from roles import grants, role
from schema import execute, select
from services import BINARY, SITE, Orm, Pair, our_env, run_binary, site_env, start_binary
from terminal import Terminal

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]

SETTINGS = {"PBKDF2_ITERATIONS": 1000}
QUICK = {"PBKDF2_ITERATIONS": "1000"}
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def url(bench: Bench, pair: Pair, kind: str) -> str:
    """A database with Django's schema and a user, alice."""
    database = bench.database(pair, kind)
    database.reset([User("alice", "wonderland", pbkdf2("sha256", 1000, "s" * 22, "wonderland"))])
    database.close()
    return database.url


def both(pair: Pair, url: str, *argv: str, **env: str) -> tuple[Done, Done]:
    """The same command line to manage.py and to us."""
    return pair.run(*argv, url=url, **env), run_binary(*argv, url=url, **(QUICK | env))


def login(bench: Bench, pair: Pair, url: str, username: str, password: str) -> int:
    """The status of a login at our service on that database."""
    service = start_binary(pair, url, SETTINGS, bench.log("ours"))
    body = json.dumps({"username": username, "password": password}).encode()
    try:
        address = service.address
        return wire.simple(
            address, "POST", "/api-token-auth/", body=body, Content_Type="application/json"
        ).status
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (["drf_create_token", "nobody"], {}),
        (["changepassword", "nobody"], {}),
        (["createsuperuser", "--noinput", "--username", "alice", "--email", "a@example.com"], {}),
        (["createsuperuser", "--noinput", "--email", "a@example.com"], {}),
        (["createsuperuser", "--noinput", "--username", "x y", "--email", "a@example.com"], {}),
        (["createsuperuser", "--noinput", "--username", "new", "--email", "no address"], {}),
        (["createsuperuser", "--noinput", "--username", "", "--email", "a@example.com"], {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals_are_djangos(pair: Pair, url: str, argv: list[str], env: dict[str, str]) -> None:
    """The exit code and the message."""
    theirs, ours = both(pair, url, *argv, **env)
    assert theirs.returncode == 1
    assert (ours.returncode, ours.stderr, ours.stdout) == (1, theirs.stderr, theirs.stdout)


def test_without_a_password_variable_nobody_can_log_in_as_the_superuser(pair: Pair, url: str) -> None:
    for run, name in ((pair.run, "theirs"), (run_binary, "mine")):
        argv = ("createsuperuser", "--noinput", "--username", name, "--email", f"{name}@example.com")
        done = run(*argv, url=url)
        assert (done.returncode, done.stdout) == (0, "Superuser created successfully.\n"), done.stderr
    columns = "is_superuser, is_staff, is_active, last_login, first_name, last_name, email, password"
    statement = f"SELECT {columns} FROM auth_user WHERE username <> 'alice' ORDER BY username DESC"
    theirs, mine = select(url, statement)
    assert theirs[:6] == mine[:6]
    assert (theirs[6], mine[6]) == ("theirs@example.com", "mine@example.com")
    assert re.fullmatch(r"![A-Za-z0-9]{40}", mine[7]), mine[7]
    assert re.fullmatch(r"![A-Za-z0-9]{40}", theirs[7]), theirs[7]


def test_noinput_takes_all_from_the_environment(bench: Bench, pair: Pair, url: str) -> None:
    told = {f"DJANGO_SUPERUSER_{name}": f"root@{name}.example" for name in ("USERNAME", "EMAIL", "PASSWORD")}
    done = run_binary("createsuperuser", "--noinput", url=url, **(QUICK | told))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Superuser created successfully.\n", "")
    assert login(bench, pair, url, "root@USERNAME.example", "root@PASSWORD.example") == 200


def test_createsuperuser_asks_at_the_terminal(bench: Bench, pair: Pair, url: str) -> None:
    shown = {}
    for name, terminal in (
        ("ours", Terminal([BINARY, "createsuperuser"], our_env(url, **QUICK))),
        ("them", Terminal([pair.python, "manage.py", "createsuperuser"], site_env(url, SETTINGS), SITE)),
    ):
        terminal.answer("Username", "alice")
        terminal.answer("Username", name)
        terminal.answer("Email address: ", f"{name}@example.com")
        for password, again in (("a long walk", "another"), ("a long walk", "a long walk")):
            terminal.answer("Password: ", password, hidden=True)
            terminal.answer("Password (again): ", again, hidden=True)
        code, text = terminal.end()
        assert code == 0, text
        assert "long walk" not in text
        shown[name] = re.sub(r" \(leave blank to use '.*?'\)", "", text).replace(name, "NAME")
    assert shown["ours"] == shown["them"]
    assert login(bench, pair, url, "ours", "a long walk") == 200


def test_a_common_password_is_refused_by_django_only(pair: Pair, url: str) -> None:
    """One of README's intended differences: the list of such passwords is Django's."""
    env = site_env(url, SETTINGS)
    theirs = Terminal(
        [pair.python, "manage.py", "createsuperuser", "--username", "t", "--email", ""], env, SITE
    )
    theirs.answer("Password: ", "trustno1", hidden=True)
    theirs.answer("Password (again): ", "trustno1", hidden=True)
    theirs.answer("[y/N]: ", "y")
    code, text = theirs.end()
    assert (code, text.count("This password is too common.")) == (0, 1), text
    ours = Terminal([BINARY, "createsuperuser", "--username", "o", "--email", ""], our_env(url, **QUICK))
    ours.answer("Password: ", "trustno1", hidden=True)
    ours.answer("Password (again): ", "trustno1", hidden=True)
    code, text = ours.end()
    assert (code, text.count("Superuser created successfully.")) == (0, 1), text


def test_changepassword_asks_at_the_terminal(bench: Bench, pair: Pair, url: str) -> None:
    shown = []
    theirs: list[str | Path] = [pair.python, "manage.py", "changepassword", "alice"]
    for terminal in (
        Terminal([BINARY, "changepassword", "alice"], our_env(url, **QUICK)),
        Terminal(theirs, site_env(url, SETTINGS), SITE),
    ):
        numeric, good = "839201754862", "a new tune"
        for password, again in (("one two three", "four"), (numeric, numeric), (good, good)):
            terminal.answer("Password: ", password, hidden=True)
            terminal.answer("Password (again): ", again, hidden=True)
        code, text = terminal.end()
        assert code == 0, text
        assert "tune" not in text
        shown.append(text)
        assert login(bench, pair, url, "alice", "a new tune") == 200
        assert login(bench, pair, url, "alice", "wonderland") == 400
    assert shown[0] == shown[1]


def test_drf_create_token_makes_one_and_with_r_another(pair: Pair, url: str) -> None:
    said = r"Generated token ([0-9a-f]{40}) for user alice\n"

    def key(run: object, *argv: str) -> str:
        done = run(*argv, url=url)  # type: ignore[operator]
        match = re.fullmatch(said, done.stdout)
        assert match and done.returncode == 0, done
        return match[1]

    first = key(run_binary, "drf_create_token", "alice")
    assert key(pair.run, "drf_create_token", "alice") == first
    assert key(run_binary, "drf_create_token", "alice") == first
    second = key(run_binary, "drf_create_token", "-r", "alice")
    third = key(pair.run, "drf_create_token", "-r", "alice")
    assert len({first, second, third}) == 3
    assert select(url, "SELECT key FROM authtoken_token") == [(third,)]


def test_hashes_of_our_commands_are_read_by_django(pair: Pair, url: str) -> None:
    argv = ("createsuperuser", "--noinput", "--username", "root", "--email", "")
    done = run_binary(*argv, url=url, DJANGO_VERSION=pair.django, DJANGO_SUPERUSER_PASSWORD="pässwörd")
    assert done.returncode == 0, done.stderr
    orm = Orm(pair, url, {})
    try:
        encoded = orm.ask("user", username="root")["password"]
        assert orm.ask("verify", password="pässwörd", encoded=encoded)
        theirs = orm.ask("encode", password="pässwörd")
        assert encoded.split("$")[:2] == theirs.split("$")[:2]
    finally:
        orm.stop()


def test_check_is_content_with_djangos_tables(url: str) -> None:
    done = run_binary("check", url=url, **QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("System check identified no issues (0 silenced).\n")
    assert "unused" not in done.stdout, "the database's password is printed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE authtoken_token", ["authtoken_token:", "authtoken.0001_initial"]),
        (
            "ALTER TABLE auth_user RENAME COLUMN is_active TO active",
            ["auth_user.is_active:", "auth.0001_initial"],
        ),
        (
            "ALTER TABLE authtoken_token RENAME COLUMN created TO made",
            ["authtoken_token.created:", "authtoken.0001_initial"],
        ),
    ],
)
def test_check_names_what_is_wrong_and_serve_refuses_it(url: str, change: str, told: list[str]) -> None:
    execute(url, change)
    for command in (["check"], ["serve", "--bind", "127.0.0.1:0"]):
        done = run_binary(*command, url=url, **QUICK)
        assert done.returncode == 1
        assert all(word in done.stderr for word in [*told, "HINT"]), done.stderr
        assert "Listening" not in done.stderr


READS = (
    "GRANT SELECT (id, username, password, is_active) ON auth_user TO tokens;"
    "GRANT SELECT (key, user_id) ON authtoken_token TO tokens;"
)


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize(
    ("statements", "level", "code", "told"),
    [
        (grants(), "WARNING", 0, ""),
        (READS, "ERROR", 0, r"auth_user\.password: .*W008(?s:.*)authtoken_token\.key: .*W008"),
        (READS, "WARNING", 1, r"SystemCheckError(?s:.*)authtoken_token\.key: .*W008"),
        (grants().replace("(key, user_id)", "(key)"), "ERROR", 1, r"authtoken_token\.user_id: .*E011"),
    ],
)
def test_check_tells_what_its_role_may_not_do(
    bench: Bench, url: str, kind: str, statements: str, level: str, code: int, told: str
) -> None:
    """Who only reads is warned, who cannot read is told and not served, and CI may want no warning."""
    with role(bench, url, statements) as own:
        done = run_binary("check", "--fail-level", level, url=own, **QUICK)
    assert re.search(told, done.stderr) and bool(done.stderr) == bool(told), done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("kind", ["postgres"])
def test_check_tells_of_a_database_whose_clock_is_another(url: str, kind: str) -> None:
    env = {"LD_PRELOAD": library(), "FAKETIME": "+1d"}
    done = run_binary("check", url=url, **QUICK, **env)
    assert re.search(
        r"DATABASE_URL: \(drf_authtoken\.W009\) the database's clock is 86[34]\d+ seconds behind", done.stderr
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("hashers", "told"),
    [
        ("Argon2PasswordHasher,PBKDF2PasswordHasher", "is of pbkdf2_sha256, new ones are of argon2"),
        ("PBKDF2PasswordHasher,Argon2PasswordHasher", ""),
    ],
)
def test_check_tells_of_another_hasher(url: str, hashers: str, told: str) -> None:
    paths = ",".join(f"django.contrib.auth.hashers.{name}" for name in hashers.split(","))
    done = run_binary("check", url=url, **QUICK, PASSWORD_HASHERS=paths)
    assert done.returncode == 0
    assert (told in done.stderr) if told else not done.stderr


def test_an_unreachable_database_is_one_message(bench: Bench, kind: str) -> None:
    url = {
        "postgres": "postgres://someone:verysecret@127.0.0.1:1/nothing",
        "sqlite": f"sqlite:///{bench.folder}/no/such/folder/db.sqlite3",
    }[kind]
    for command in (["check"], ["serve", "--bind", "127.0.0.1:0"], ["migrate"], ["drf_create_token", "a"]):
        done = run_binary(*command, url=url)
        assert done.returncode == 1, (command, done)
        assert done.stderr.startswith("CommandError: ")
        assert "verysecret" not in done.stderr + done.stdout
        assert "DATABASE_URL" in done.stderr


def test_an_unreadable_setting_is_exit_code_2(url: str) -> None:
    done = run_binary("check", url=url, APPEND_SLASH="perhaps", PBKDF2_ITERATIONS="many")
    assert done.returncode == 2
    assert "APPEND_SLASH" in done.stderr and "PBKDF2_ITERATIONS" in done.stderr
    assert "perhaps" in done.stderr and "environment" in done.stderr
    done = run_binary("check", url="mysql://x:verysecret@y/z")
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr and "verysecret" not in done.stderr


LOST = """
CREATE SEQUENCE tries;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('tries'), pg_terminate_backend(pg_backend_pid());
    RETURN OLD;
END $$;
CREATE TRIGGER lost_token BEFORE DELETE ON authtoken_token FOR EACH ROW EXECUTE FUNCTION lose();
CREATE TRIGGER lost_user BEFORE UPDATE OR INSERT ON auth_user FOR EACH ROW EXECUTE FUNCTION lose();
"""
UNKNOWN = "the database was lost or did not answer, and it is not known whether the change was made"


@pytest.mark.parametrize("kind", ["postgres"])
@pytest.mark.parametrize("command", ["drf_create_token", "changepassword", "createsuperuser"])
def test_a_change_whose_connection_is_lost_is_not_made_twice(pair: Pair, url: str, command: str) -> None:
    """Its second time could undo what somebody else did meanwhile, so the user is told to look."""
    assert run_binary("drf_create_token", "alice", url=url).returncode == 0
    execute(url, LOST)
    if command == "changepassword":
        terminal = Terminal([BINARY, command, "alice"], our_env(url, **QUICK))
        for prompt in ("Password: ", "Password (again): "):
            terminal.answer(prompt, "another-word", hidden=True)
        code, shown = terminal.end()
    else:
        argv = ["alice", "--reset"] if command == "drf_create_token" else ["--noinput", "--username", "new"]
        argv += ["--email", "new@example.com"] if command == "createsuperuser" else []
        done = run_binary(command, *argv, url=url, **QUICK)
        code, shown = done.returncode, done.stderr
    assert (code, UNKNOWN in shown) == (1, True), shown
    assert select(url, "SELECT last_value FROM tries") == [(1,)]
