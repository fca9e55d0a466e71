"""How the database is reached: by TLS that is checked, never without it; by a Unix socket, as who runs us."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from bench import Bench
from certificates import Authority
from clients import ALICE, SECRET, ask, login_bytes
from postgres import Cluster
from services import Pair, Service, run_binary, start_binary, start_django, start_exported
from sites import SITES

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["postgres"]),
]

QUICK = {"PBKDF2_ITERATIONS": 1000, "DATABASE_TIMEOUT": 2}


def name_of(url: str) -> str:
    """The database's name."""
    return url.rsplit("/", 1)[1]


def with_alice(bench: Bench, pair: Pair, kind: str) -> str:
    """The URL, by the address, of a database with alice and her token."""
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        return database.url


def assert_serves(service: Service) -> None:
    """A log-in, and the token that it answers."""
    login = ask(service, login_bytes(ALICE)).answer
    assert (login.status, json.loads(login.body)) == (200, {"token": ALICE.token})
    assert ask(service, SECRET).status == 200


class Tls:
    """A cluster that shows a certificate, another one each time it is told to."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.authority, self.other = (Authority(folder / name) for name in ("authority", "other"))
        right = self.show(self.authority, "right", "localhost")
        self.bench = Bench(folder / "bench", ssl="on", log_connections="on", **right)
        self.faults = {
            "another authority": self.show(self.other, "unknown", "localhost"),
            "another host": self.show(self.authority, "other", "other.test"),
            "its time is over": self.show(self.authority, "old", "localhost", days=-1),
            "no TLS": {"ssl": "off"},
        }
        self.right = {"ssl": "on"} | right

    @staticmethod
    def show(authority: Authority, stem: str, host: str, days: int = 2) -> dict[str, str]:
        """The settings with that certificate; its key is the server's own."""
        certificate, key = authority.sign(stem, host, days)
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(key, account.pw_uid, account.pw_gid)
        return {"ssl_cert_file": str(certificate), "ssl_key_file": str(key)}

    @property
    def cluster(self) -> Cluster:
        return self.bench.cluster

    def restart(self, settings: dict[str, str]) -> None:
        """With another certificate, or without TLS."""
        self.cluster.stop()
        self.cluster.further |= settings
        self.cluster.start()

    def url(self, name: str, **options: object) -> str:
        """Of a database, by the name in the right certificate, all checked."""
        told = {"sslmode": "verify-full", "sslrootcert": self.authority.file} | options
        query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in told.items())
        return f"postgres://postgres:unused@localhost:{self.cluster.port}/{name}?{query}"

    def is_authorized(self, name: str) -> bool:
        """Whether somebody has come to the database since the server was started."""
        return f"connection authorized: user=postgres database={name}" in self.cluster.process.log_text()


@pytest.fixture(scope="module")
def tls(bench: Bench) -> Iterator[Tls]:
    folder = bench.folder / "tls"
    folder.mkdir()
    folder.chmod(0o711)
    tls = Tls(bench, folder)
    yield tls
    tls.bench.stop()


def test_a_certificate_is_checked_and_the_site_is_served(tls: Tls, pair: Pair, kind: str) -> None:
    """By the URL of a Django that checks it too, as the export tells it."""
    name = name_of(with_alice(tls.bench, pair, kind))
    django = start_django(pair, tls.url(name), SITES["plain"], tls.bench.log("django"))
    ours = start_exported(pair, tls.url(name), SITES["plain"], tls.bench.log("ours"))
    with django, ours:
        assert_serves(django)
        assert_serves(ours)
    text = tls.cluster.process.log_text()
    lines = [line for line in text.splitlines() if f"authorized: user=postgres database={name}" in line]
    ours_and_djangos = [line for line in lines if "application_name" not in line]
    assert ours_and_djangos and all("SSL enabled (protocol=TLSv1.3" in line for line in ours_and_djangos), (
        lines
    )


FAULTS = {
    "another authority": "UnknownIssuer",
    "another host": "not valid for name",
    "its time is over": "xpired",
    "no TLS": "server does not support TLS",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_who_fails_the_check_is_told_nothing(tls: Tls, pair: Pair, kind: str, fault: str) -> None:
    """`check` and `serve` refuse, a running service answers 503, and all is well when the server is."""
    name = name_of(with_alice(tls.bench, pair, kind))
    with start_binary(pair, tls.url(name), QUICK, tls.bench.log("ours")) as service:
        assert_serves(service)
        tls.restart(tls.faults[fault])
        try:
            for command in (["check"], ["serve", "--bind", "127.0.0.1:0"]):
                done = run_binary(*command, url=tls.url(name), DATABASE_TIMEOUT="2")
                assert done.returncode == 1, done
                assert done.stderr.startswith("CommandError: cannot use the database postgres://"), (
                    done.stderr
                )
                assert FAULTS[fault] in done.stderr and "Listening" not in done.stderr
            assert [ask(service, request).status for request in (SECRET, login_bytes(ALICE))] == [503, 503]
            assert not tls.is_authorized(name)
        finally:
            tls.restart(tls.right)
        assert_serves(service)


def test_less_is_checked_where_less_is_asked_for(tls: Tls, pair: Pair, kind: str) -> None:
    """The mutants of the test above: each option lets through what the next one refuses."""
    name = name_of(with_alice(tls.bench, pair, kind))
    passing = {
        "another authority": {"sslmode": "require"},
        "another host": {"sslmode": "verify-ca"},
        "no TLS": {"sslmode": "prefer"},
    }
    try:
        for fault, options in passing.items():
            tls.restart(tls.right | tls.faults[fault])
            done = run_binary("check", url=tls.url(name, **options), PBKDF2_ITERATIONS="1000")
            assert (done.returncode, tls.is_authorized(name)) == (0, True), (fault, done.stderr)
    finally:
        tls.restart(tls.right)


@pytest.mark.parametrize("file", ["/nowhere/authority.pem", ""])
def test_a_file_that_cannot_be_read_is_told(tls: Tls, pair: Pair, kind: str, file: str) -> None:
    name = name_of(with_alice(tls.bench, pair, kind))
    done = run_binary("check", url=tls.url(name, sslrootcert=file), DATABASE_TIMEOUT="2")
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: cannot use the database "), done.stderr


@pytest.fixture(scope="module")
def peers(bench: Bench) -> Iterator[Bench]:
    """A cluster whose socket lets in who runs us, by the system's word, as the role of the same name."""
    own = Bench(bench.folder / "peers")
    cluster = own.cluster
    cluster.admin.execute(f'CREATE ROLE "{getpass.getuser()}" SUPERUSER LOGIN'.encode())
    (cluster.data / "pg_hba.conf").write_text("local all all peer\nhost all all 127.0.0.1/32 trust\n")
    # By SIGINT, with what was committed.
    cluster.stop(signal.SIGINT)
    cluster.start()
    yield own
    own.stop()


def by_socket(bench: Bench, url: str, user: str) -> dict[str, str]:
    """The ways to say it."""
    name, port, folder = name_of(url), bench.cluster.port, quote(str(bench.cluster.data), safe="")
    return {
        "quoted host": f"postgres://{user}@{folder}:{port}/{name}",
        "option": f"postgres://{user}@/{name}?host={folder}&port={port}",
        "port before the name": f"postgres://{user}@:{port}/{name}?host={folder}",
        "all options": f"postgres:///{name}?host={folder}&port={port}&user={user}",
        "host that does not count": f"postgres://{user}@localhost:{port}/{name}?host={folder}",
    }


def test_a_site_is_served_over_a_unix_socket(peers: Bench, pair: Pair, kind: str) -> None:
    """In each form of the URL; the role is that of the process, and no other is let in."""
    url = with_alice(peers, pair, kind)
    forms = by_socket(peers, url, getpass.getuser())
    for form in forms.values():
        with start_binary(pair, form, QUICK, peers.log("ours")) as service:
            assert_serves(service)
    for form in by_socket(peers, url, "postgres").values():
        done = run_binary("check", url=form)
        assert done.returncode == 1
        assert 'Peer authentication failed for user "postgres"' in done.stderr, done.stderr


def test_the_export_tells_a_sites_socket(peers: Bench, pair: Pair, kind: str) -> None:
    """Django's HOST is its folder; what it asks of TLS does not count there, as in libpq."""
    form = by_socket(peers, with_alice(peers, pair, kind), getpass.getuser())["quoted host"]
    for options in ("", "?sslmode=require"):
        django = start_django(pair, form + options, SITES["plain"], peers.log("django"))
        with django, start_exported(pair, form + options, SITES["plain"], peers.log("ours")) as ours:
            assert_serves(django)
            assert_serves(ours)
