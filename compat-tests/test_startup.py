"""Mistakes before the start: one line each, with name, source and remedy, no secret, and nothing listens."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import Bench
from processes import free_port
from services import Pair, run_binary, toml

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])

# Stands where a password may stand; no message may show it.
SECRET = "hunter2"
HASHER = "site.hashers.OwnPasswordHasher"


@dataclass
class Mistake:
    """What is wrong, and what each line on standard error has to hold."""

    code: int
    lines: list[list[str]]
    url: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    text: str = ""
    env: dict[str, str] = field(default_factory=dict)


MISTAKES = {
    "unreachable database": Mistake(
        1,
        [["CommandError: ", "postgres://site:********@127.0.0.1:1/site", "Check DATABASE_URL"]],
        url=f"postgres://site:{SECRET}@127.0.0.1:1/site",
        settings={"DATABASE_TIMEOUT": 1},
    ),
    "unknown host of a database": Mistake(
        1,
        [["CommandError: ", "site:********@nowhere.invalid", "Check DATABASE_URL"]],
        url=f"postgres://site:{SECRET}@nowhere.invalid/site",
    ),
    "missing file": Mistake(
        1,
        [["CommandError: ", "sqlite:////nowhere/db.sqlite3", "Check DATABASE_URL"]],
        url="sqlite:////nowhere/db.sqlite3",
    ),
    "another database": Mistake(
        2,
        [["DATABASE_URL", "(environment)", "mysql:// is not supported; use postgres:// or sqlite://"]],
        url=f"mysql://site:{SECRET}@127.0.0.1/site",
    ),
    "no URL": Mistake(2, [["DATABASE_URL", "(environment)", "write a URL such as"]], url=SECRET),
    "unknown setting": Mistake(
        2,
        [["ALOWED_HOSTS", "(FILE)", "no such setting", "ALLOWED_HOSTS?"]],
        settings={"ALOWED_HOSTS": [SECRET]},
    ),
    "setting of Django's that is not one of ours": Mistake(
        2, [["EMAIL_HOST_PASSWORD", "(FILE)", "no such setting"]], settings={"EMAIL_HOST_PASSWORD": SECRET}
    ),
    "no TOML": Mistake(
        2,
        [["FILE", "line 2"], ["BIND", '"nowhere"', "(environment)"]],
        text=f'APPEND_SLASH = true\nDATABASE_URL = "postgres://site:{SECRET}@h/d\n',
        env={"BIND": "nowhere"},
    ),
    "bad values in the environment": Mistake(
        2,
        [
            ["BIND", '"nowhere"', "(environment)", "write ADDRESS:PORT"],
            ["PBKDF2_ITERATIONS", '"0"', "(environment)", "write 1 to 2147483647"],
            ["DATABASE_TIMEOUT", '"soon"', "(environment)", "write a number of seconds"],
            ["APPEND_SLASH", '"perhaps"', "(environment)", "write true or false"],
            ["DJANGO_VERSION", '"3.2"', "(environment)", "known versions are 4.2"],
            ["SECURE_PROXY_SSL_HEADER", '"https"', "(environment)", "write two items"],
        ],
        env={
            "BIND": "nowhere",
            "PBKDF2_ITERATIONS": "0",
            "DATABASE_TIMEOUT": "soon",
            "APPEND_SLASH": "perhaps",
            "DJANGO_VERSION": "3.2",
            "SECURE_PROXY_SSL_HEADER": "https",
        },
    ),
    "bad values in file and environment": Mistake(
        2,
        [
            ["HASHING_THREADS", "-1", "(FILE)", "write a whole number"],
            ["MAX_BODY_SIZE", "(environment)", "1024"],
        ],
        settings={"HASHING_THREADS": -1},
        env={"MAX_BODY_SIZE": "5"},
    ),
    "unknown hashers and middleware": Mistake(
        2,
        [
            ["PASSWORD_HASHERS", HASHER, "site.Other", "(FILE)", "not supported", "PBKDF2PasswordHasher"],
            ["MIDDLEWARE", "site.One, site.Two", "(FILE)", "not supported"],
        ],
        settings={"PASSWORD_HASHERS": [HASHER, "site.Other"], "MIDDLEWARE": ["site.One", "site.Two"]},
    ),
    "no hasher": Mistake(
        2, [["PASSWORD_HASHERS", "(environment)", "name one"]], env={"PASSWORD_HASHERS": ""}
    ),
    "bad filter of the log": Mistake(
        2,
        [["LOG_LEVEL", '"info=loud"', "(environment)", "info"]],
        env={"LOG_LEVEL": "info=loud"},
    ),
}


@SQLITE
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_remedy(
    bench: Bench, pair: Pair, kind: str, tmp_path: Path, mistake: Mistake
) -> None:
    file = tmp_path / "drf-authtoken.toml"
    file.write_text(mistake.text or toml(mistake.settings))
    url = mistake.url or bench.migrated_url(pair, kind)
    argv: list[str | Path] = ["serve", "--settings", file]
    if "BIND" not in mistake.env:
        argv += ["--bind", f"127.0.0.1:{free_port()}"]
    done = run_binary(*argv, url=url, **mistake.env)
    assert_lines(done.stderr.replace(str(file), "FILE"), mistake.lines)
    assert (done.returncode, done.stdout) == (mistake.code, "")


def assert_lines(told: str, wanted: list[list[str]]) -> None:
    """As many lines as there are mistakes, each with what it has to hold, and no secret."""
    lines = told.splitlines()
    assert len(lines) == len(wanted), told
    for parts in wanted:
        assert any(all(part in line for part in parts) for line in lines), (parts, told)
    assert SECRET not in told
    assert "Listening" not in told


def test_a_database_without_tables_is_told_with_its_remedy(bench: Bench, pair: Pair, kind: str) -> None:
    url = bench.empty_url(kind)
    if kind == "sqlite":
        Path(url.removeprefix("sqlite:///")).touch()
    done = run_binary("serve", "--bind", f"127.0.0.1:{free_port()}", url=url)
    assert (done.returncode, done.stdout) == (1, "")
    for part in ("auth_user", "authtoken_token", "migrate"):
        assert part in done.stderr
    assert "Listening" not in done.stderr


@SQLITE
def test_a_port_in_use_is_told_with_its_remedy(bench: Bench, pair: Pair, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run_binary("serve", "--bind", address, url=bench.migrated_url(pair, kind))
    assert done.returncode == 1
    assert_lines(done.stderr, [["CommandError: ", address, "in use", "Choose another --bind"]])
