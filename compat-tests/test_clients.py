"""Clients that are generated from the document are used for real, and know each error by its type."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench import Bench
from clients import ALICE, KEY
from processes import Process
from services import HERE, PROJECT, Pair, Service, start_binary
from sites import QUICK_HASH

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

DOCUMENTS = {"own": PROJECT / "openapi/openapi.json", "spectacular": PROJECT / "openapi/drf-spectacular.json"}
NODE_MODULES = PROJECT / "target/node/node_modules"
PACKAGE = "drf_authtoken_client"
DETAIL, FIELDS = "Detail", "AuthTokenErrors"
# What both clients must make of the service's errors.
ERRORS = {
    "wrong 400 fields: - | - | Unable to log in with provided credentials.",
    "missing 400 fields: This field may not be blank. | This field may not be blank. | -",
    "parse 400 detail: JSON parse error - Expecting value: line 1 column 1 (char 0)",
    "page 400 page: Bad Request (400)",
    "token 401 detail: Invalid token.",
    "anonymous 401 detail: Authentication credentials were not provided.",
    "format 404 detail: Not found.",
    'method 405 detail: Method "PUT" not allowed.',
    "accept 406 detail: Could not satisfy the request Accept header.",
    "large 413 detail: The request body is too large.",
    'type 415 detail: Unsupported media type "text/plain" in request.',
}
UNAVAILABLE = "unavailable 503 detail: Service temporarily unavailable, try again later. after 1"


@pytest.fixture
def database(bench: Bench, pair: Pair, kind: str) -> Iterator[str]:
    """The file of a database with alice."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        yield database.url.removeprefix("sqlite:///")


@pytest.fixture
def service(bench: Bench, pair: Pair, database: str) -> Iterator[Service]:
    settings = QUICK_HASH | {"DATABASE_TIMEOUT": 1}
    with start_binary(pair, f"sqlite:///{database}", settings, bench.log("ours")) as service:
        yield service


def run(*argv: str | Path, cwd: Path, **env: str) -> str:
    """A program's output; it must succeed."""
    # The generator formats what it has made by ruff.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "LANG": "C.UTF-8", "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"} | env
    words = [str(word) for word in argv]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@cache
def python_client(folder: Path, document: str) -> Path:
    """The folder in which the package is that the generator makes of a document."""
    folder = folder / f"python-{document}"
    folder.mkdir()
    generator = Path(sys.executable).parent / "openapi-python-client"
    options: list[str | Path] = ["--meta", "none", "--output-path", folder / PACKAGE]
    run(generator, "generate", "--path", DOCUMENTS[document], *options, cwd=folder)
    return folder


@cache
def typescript_client(folder: Path, document: str) -> Path:
    """The folder in which our programs stand beside the types that are made of a document."""
    assert NODE_MODULES.exists(), f"{NODE_MODULES} is missing; scripts/test installs it"
    folder = folder / f"typescript-{document}"
    shutil.copytree(HERE / "typescript", folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    run(NODE_MODULES / ".bin/openapi-typescript", DOCUMENTS[document], "-o", "schema.d.ts", cwd=folder)
    return folder


@cache
def compiled(folder: Path) -> Path:
    """Our programs, checked against the types."""
    folder = typescript_client(folder, "own")
    run(NODE_MODULES / ".bin/tsc", cwd=folder)
    return folder


def test_a_python_client_logs_in_and_reads_the_secret(bench: Bench, service: Service) -> None:
    folder = python_client(bench.folder, "own")
    example = HERE / "python/example.py"
    argv: list[str | Path] = [sys.executable, example, service.base, ALICE.name, ALICE.password]
    assert run(*argv, cwd=folder, PYTHONPATH=str(folder)) == "This is a secret message.\n"


def test_a_typescript_client_logs_in_and_reads_the_secret(bench: Bench, service: Service) -> None:
    folder = compiled(bench.folder)
    argv = ["node", "example.js", service.base, ALICE.name, ALICE.password]
    assert run(*argv, cwd=folder) == "This is a secret message.\n"


def test_a_typescript_client_tells_the_errors_apart(bench: Bench, service: Service, database: str) -> None:
    folder = compiled(bench.folder)
    argv = ["node", "errors.js", service.base, KEY]
    with (
        subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client,
        closing(sqlite3.connect(database, isolation_level=None)) as other,
    ):
        assert client.stdin and client.stdout
        told = set(iter(client.stdout.readline, "ready\n"))
        assert {line.strip() for line in told} == ERRORS
        other.execute("BEGIN EXCLUSIVE")
        client.stdin.write("locked\n")
        client.stdin.close()
        assert client.stdout.read().strip() == UNAVAILABLE
    assert client.returncode == 0


@pytest.fixture
def generated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Modules of the Python client, by their names."""
    monkeypatch.syspath_prepend(python_client(bench.folder, "own"))
    return lambda name: importlib.import_module(f"{PACKAGE}{name}")


def test_a_python_client_tells_the_errors_apart(
    service: Service, database: str, generated: Callable[[str], Any]
) -> None:
    client, models = generated(""), generated(".models")
    login, secret = (
        generated(".api.api_token_auth.api_token_auth_create"),
        generated(".api.secret.secret_retrieve"),
    )

    def changed(**how: Any) -> Any:
        """A client whose requests are spoilt on their way."""

        def spoil(request: Any) -> None:
            request.method = how.get("method", request.method)
            request.url = request.url.copy_merge_params(how.get("params", {}))
            request.headers.update(how.get("headers", {}))

        return client.Client(service.base, httpx_args={"event_hooks": {"request": [spoil]}})

    def post(client: Any, username: str = ALICE.name, password: str = ALICE.password) -> Any:
        body = models.AuthTokenRequest(username=username, password=password)
        return login.sync_detailed(client=client, body=body)

    plain = client.Client(service.base)
    wrong = client.AuthenticatedClient(service.base, token="x", prefix="Token")
    answers = {
        "wrong": post(plain, password="no"),
        "missing": post(plain, "", ""),
        "token": secret.sync_detailed(client=wrong),
        "anonymous": secret.sync_detailed(client=plain),
        "format": post(changed(params={"format": "xml"})),
        "method": secret.sync_detailed(
            client=changed(method="PUT", headers={"Authorization": f"Token {KEY}"})
        ),
        "accept": post(changed(headers={"Accept": "image/png"})),
        "type": post(changed(headers={"Content-Type": "text/plain"})),
    }
    told = {f"{name} {answer.status_code} {understood(answer.parsed)}" for name, answer in answers.items()}
    # The others need a body that the generated types do not let through.
    assert told == {line for line in ERRORS if line.split()[0] not in ("parse", "page", "large")}
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = post(plain)
    text = (
        f"unavailable {answer.status_code} {understood(answer.parsed)} after {answer.headers['retry-after']}"
    )
    assert text == UNAVAILABLE


def understood(parsed: Any) -> str:
    """The error, by the class that the client has made of it."""
    if type(parsed).__name__ == "Detail":
        return f"detail: {parsed.detail}"
    assert type(parsed).__name__ == "AuthTokenErrors", parsed
    fields = parsed.to_dict()
    texts = [" ".join(fields.get(name, ["-"])) for name in ("username", "password", "non_field_errors")]
    return f"fields: {' | '.join(texts)}"


def method_files(folder: Path) -> set[str]:
    """The files of a Python client that hold one method each."""
    files = folder.glob(f"{PACKAGE}/api/*/*.py")
    return {str(file.relative_to(folder)) for file in files if file.name != "__init__.py"}


def test_the_methods_have_the_same_names_in_both_dialects(bench: Bench, kind: str) -> None:
    """But for the document's own operation, which spectacular leaves out here."""
    functions = {document: method_files(python_client(bench.folder, document)) for document in DOCUMENTS}
    own = {f"{PACKAGE}/api/api/api_schema_retrieve.py"}
    assert functions["own"] - functions["spectacular"] == own
    assert functions["spectacular"] == {
        f"{PACKAGE}/api/api_token_auth/api_token_auth_create.py",
        f"{PACKAGE}/api/secret/secret_retrieve.py",
    }
    operations = {
        document: re.findall(
            r"^    (\w+): \{$",
            (typescript_client(bench.folder, document) / "schema.d.ts")
            .read_text()
            .split("interface operations")[1],
            re.M,
        )
        for document in DOCUMENTS
    }
    assert operations["spectacular"] == ["api_token_auth_create", "secret_retrieve"]
    assert operations["own"] == [*operations["spectacular"], "api_schema_retrieve"]


@pytest.mark.parametrize(("document", "rules"), [("own", "own"), ("spectacular", "structure")])
def test_a_second_validator_finds_nothing(bench: Bench, kind: str, document: str, rules: str) -> None:
    folder = typescript_client(bench.folder, document)
    assert run("node", "lint.mjs", rules, DOCUMENTS[document], cwd=folder) == ""


def test_the_second_validator_would_find_something(bench: Bench, kind: str, tmp_path: Path) -> None:
    folder = typescript_client(bench.folder, "own")
    broken = tmp_path / "broken.json"
    broken.write_text(DOCUMENTS["own"].read_text().replace('"required": true', '"required": "yes"', 1))
    told = subprocess.run(
        ["node", "lint.mjs", "structure", broken], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 1
    assert "struct" in told.stdout


@pytest.mark.parametrize("example", ["python/example.py", "typescript/example.ts"])
def test_the_readme_shows_the_programs_of_these_tests(kind: str, example: str) -> None:
    text = (HERE / example).read_text()
    # The doc line is for who reads the file.
    text = re.sub(r'\A""".*"""\n\n', "", text)
    assert text in (PROJECT / "README.md").read_text(), f"put this into README.md:\n{text}"


def test_schemathesis_finds_nothing(bench: Bench, service: Service) -> None:
    argv: list[str | Path] = [
        Path(sys.executable).parent / "schemathesis",
        "--config-file",
        HERE / "schemathesis.toml",
    ]
    argv += ["run", DOCUMENTS["own"], "--url", service.base, "--checks", "all", "--no-color"]
    argv += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25", "--seed", "1"]
    argv += ["--header", f"Authorization: Token {KEY}"]
    log = bench.log("schemathesis")
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(bench.folder)}
    env |= {"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
    tester = Process(argv, log=log, env=env, cwd=bench.folder)
    code = tester.child.wait(400)
    told = tester.log_text()
    tester.stop()
    assert code == 0, told
    assert re.search(r"Selected: 3/3\n\s*Tested: 3", told), told
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in told, told
    assert "API Links:    1 covered / 1 selected / 1 total" in told, told
    assert "WARNINGS" not in told, told
