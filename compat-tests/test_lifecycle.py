"""How the service starts and ends: sockets, systemd, signals, a restart without a failed request."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import wire
from bench import Bench
from clients import ALICE, SECRET, ask, login_bytes
from databases import User
from load import Load, during
from processes import Process
from services import BINARY, PROJECT, Pair, Service, our_env, run_binary, start_binary

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]

SETTINGS = {"PBKDF2_ITERATIONS": 1000}


@pytest.fixture
def url(bench: Bench, pair: Pair, kind: str) -> str:
    """A database with alice and her token."""
    database = bench.database(pair, kind)
    database.reset([ALICE])
    database.close()
    return database.url


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket that outlives the services on it."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as port:
        yield port


def ask_unix(path: Path, request: bytes) -> wire.Response:
    """One request over a Unix socket."""
    connection = wire.Connection.__new__(wire.Connection)
    connection.buffer = b""
    with socket.socket(socket.AF_UNIX) as connection.socket:
        connection.socket.settimeout(wire.TIMEOUT)
        connection.socket.connect(str(path))
        connection.send(request)
        return connection.receive()


def test_it_listens_on_a_unix_socket(bench: Bench, pair: Pair, url: str) -> None:
    """A file that a killed process left behind is replaced; one that somebody listens on is not."""
    path = bench.folder / bench.name("socket")
    argv: list[str | Path] = [BINARY, "serve", "--bind", f"unix:{path}"]
    env = our_env(url, ALLOWED_HOSTS="t")
    for by in (signal.SIGKILL, signal.SIGTERM):
        process = Process(argv, log=bench.log("unix"), env=env)
        process.wait_for(f"Listening at: unix:{path}\n")
        assert ask_unix(path, SECRET).status == 200
        assert ask_unix(path, login_bytes(ALICE)).status == 200
        second = run_binary("serve", "--bind", f"unix:{path}", url=url)
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert f"cannot listen on unix:{path}" in second.stderr
        process.stop(by)
    path.unlink()
    path.write_text("precious")
    assert run_binary("serve", "--bind", f"unix:{path}", url=url).returncode == 1
    assert path.read_text() == "precious"


def test_a_socket_that_systemd_hands_over_is_taken(
    bench: Bench, pair: Pair, url: str, port: socket.socket
) -> None:
    with start_binary(pair, url, SETTINGS, bench.log("ours"), listen=port) as service:
        assert service.address == port.getsockname()
        assert ask(service, SECRET).status == 200


def test_a_unix_socket_that_systemd_hands_over_is_taken(bench: Bench, pair: Pair, url: str) -> None:
    path = bench.folder / bench.name("socket")
    with socket.socket(socket.AF_UNIX) as port:
        port.bind(str(path))
        port.listen()
        env = our_env(url, ALLOWED_HOSTS="t")
        process = Process([BINARY, "serve"], log=bench.log("unix"), env=env, listen=port)
        process.wait_for(f"Listening at: unix:{path}\n")
        assert ask_unix(path, SECRET).status == 200
        assert process.stop() == 0


@pytest.mark.parametrize("overlap", [True, False], ids=["new-before-old", "old-before-new"])
def test_no_request_is_lost_when_it_restarts_on_a_socket_that_stays(
    bench: Bench, pair: Pair, url: str, port: socket.socket, overlap: bool
) -> None:
    """Under load, logins too, and three times: every answer is 200 and no connection breaks."""

    def start() -> Service:
        return start_binary(pair, url, SETTINGS, bench.log("ours"), listen=port)

    running = [start()]

    def restart() -> None:
        if overlap:
            running.append(start())
        assert running.pop(0).stop() == 0
        if not overlap:
            running.append(start())

    load = Load(running[0].address, [SECRET, login_bytes(ALICE), SECRET])
    during(load, [restart] * 3, 300)
    running[0].stop()
    assert load.all_are(200, at_least=1200)


def test_a_lost_request_would_be_seen(bench: Bench, pair: Pair, url: str, port: socket.socket) -> None:
    """A service that is killed takes its connections with it."""
    service = start_binary(pair, url, SETTINGS, bench.log("ours"), listen=port)
    load = Load(service.address, [SECRET])
    during(load, [lambda: service.process.stop(signal.SIGKILL)], 100)
    assert load.failures


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(bench: Bench, pair: Pair, url: str) -> None:
    path = bench.folder / bench.name("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(wire.TIMEOUT)
        service = start_binary(pair, url, SETTINGS, bench.log("ours"), NOTIFY_SOCKET=str(path))
        assert notify.recv(100).strip() == b"READY=1"
        assert ask(service, SECRET).status == 200
        assert service.stop() == 0
        assert notify.recv(100).strip() == b"STOPPING=1"


def test_a_hangup_reads_the_level_of_the_log_anew(bench: Bench, pair: Pair, url: str) -> None:
    """Nothing else changes, and what waits for a restart is named; a mistake changes nothing."""
    log = bench.log("ours")
    wrong = login_bytes(User("nobody", "x", ""))
    with start_binary(pair, url, SETTINGS | {"LOG_LEVEL": "warn"}, log) as service:
        file = log.with_suffix(".toml")
        told = file.read_text()
        assert ask(service, wrong).status == 400
        assert "no_such_user" not in log.read_text(), "the level was not warn"

        def reload(text: str, expected: str) -> str:
            before = len(log.read_text())
            file.write_text(text)
            service.process.child.send_signal(signal.SIGHUP)
            service.process.wait_for(expected)
            return log.read_text()[before:]

        changed = told.replace('"warn"', '"info"') + 'SECRET_PATH = "/other/"\n'
        line = reload(changed, "read the settings anew.*")
        assert 'reloaded=["LOG_LEVEL"]' in line and 'waiting=["SECRET_PATH"]' in line
        before = len(log.read_text())
        assert ask(service, wrong).status == 400
        assert ask(service, SECRET).status == 200
        assert "no_such_user" in log.read_text()[before:]
        line = reload(told.replace('"warn"', '"nonsense=="'), "the settings stay as they are.*")
        assert "LOG_LEVEL" in line
        assert ask(service, SECRET).status == 200


def test_the_unit_is_hardened(kind: str) -> None:
    """By systemd's own judgement: an exposure of at most 1.5, without a finding of a misspelt option."""
    tool = shutil.which("systemd-analyze")
    assert tool, "install Debian's systemd"
    unit = PROJECT / "scripts/systemd/drf-authtoken.service"
    argv = [tool, "security", "--offline=true", "--no-pager", "--threshold=15", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unknown" not in done.stderr and "Failed" not in done.stderr, done.stderr
    unsafe = unit.read_text().replace("CapabilityBoundingSet=", "#").replace("SystemCallFilter=", "#")
    assert unsafe != unit.read_text()
    loose = unit.with_name("loose.service")
    loose.write_text(unsafe)
    try:
        assert subprocess.run([*argv[:-1], str(loose)], capture_output=True).returncode != 0
    finally:
        loose.unlink()


def test_the_image_copies_all_that_cargo_asks_for(bench: Bench, kind: str) -> None:
    """There is no Docker here: what its first stage copies makes a whole package, and is all there."""
    folder = bench.folder / bench.name("image")
    folder.mkdir()
    lines = (PROJECT / "scripts/Dockerfile").read_text().split("\nFROM ")[1].splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert "src" in copied
    for name in copied:
        whole = PROJECT / name
        (shutil.copytree if whole.is_dir() else shutil.copy)(whole, folder / name)
    argv = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version=1"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    targets = [target for package in json.loads(done.stdout)["packages"] for target in package["targets"]]
    assert "drf-authtoken" in {target["name"] for target in targets}
    missing = [target["src_path"] for target in targets if not Path(target["src_path"]).exists()]
    assert missing == []
