"""`check --against`: a site that we fit gets a yes, and what does not fit is named by its setting."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench import Bench
from certificates import Authority
from faults_clock import library
from processes import Process, free_port
from services import SITE, Pair, Service, export, run_binary, site_env, start_django
from sites import SITES, SIX_SITES

pytestmark = pytest.mark.usefixtures("binary")
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
Done = subprocess.CompletedProcess[str]


@dataclass
class Site:
    """A running site, our settings file for it, and its database."""

    service: Service
    file: Path
    url: str

    def check(self, against: str = "", **env: str) -> Done:
        """Our settings, but for those in the environment, against it."""
        argv: list[str | Path] = ["check", "--settings", self.file, "--against", against or self.service.base]
        return run_binary(*argv, url=self.url, **env)


@contextmanager
def running(bench: Bench, pair: Pair, kind: str, settings: Mapping[str, Any], **env: str) -> Iterator[Site]:
    """A site with these settings, and the file that the export writes inside it."""
    url = bench.migrated_url(pair, kind, settings)
    file = bench.log("exported").with_suffix(".toml")
    done = export(pair, url, settings)
    assert done.returncode == 0 and "REFUSALS" not in done.stdout, done.stderr
    file.write_text(done.stdout)
    with start_django(pair, url, settings, bench.log("django"), **env) as service:
        yield Site(service, file, url)


def named(done: Done) -> set[str]:
    """The settings in which the two are said to differ."""
    return set(re.findall(r"^(\S+): \(drf_authtoken\.E008\)", done.stderr, re.M))


def assert_no_issues(done: Done) -> None:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.endswith("System check identified no issues (0 silenced).\n")


def assert_yes(done: Done) -> None:
    """No issue, and more than a dozen answers that were compared."""
    assert_no_issues(done)
    told = re.search(
        r"^\S+, asked as \S+: its ([0-9]+) answers are those of this service\.$", done.stdout, re.M
    )
    assert told and int(told[1]) > 20, done.stdout


@pytest.mark.newest_only
@pytest.mark.parametrize("site", SIX_SITES)
def test_each_of_the_six_sites_is_exported_checked_and_asked(
    bench: Bench, pair: Pair, kind: str, site: str
) -> None:
    """By its file alone, which tells the database too."""
    with running(bench, pair, kind, SITES[site]) as asked:
        asked = replace(asked, url="")
        assert_no_issues(run_binary("check", "--settings", asked.file, url=""))
        assert_yes(asked.check())


ASKED = (
    "bearer", "german", "locale", "locale-behind", "https", "www", "proxy", "other-paths",
    "no-security-headers", "basic-token",
)  # fmt: skip


@SQLITE
@pytest.mark.newest_only
@pytest.mark.parametrize("site", ASKED)
def test_a_site_that_we_fit_gets_a_yes(bench: Bench, pair: Pair, kind: str, site: str) -> None:
    with running(bench, pair, kind, SITES[site]) as asked:
        assert_yes(asked.check())


@SQLITE
def test_every_pair_gets_a_yes(bench: Bench, pair: Pair, kind: str) -> None:
    with running(bench, pair, kind, SITES["plain"]) as asked:
        assert_yes(asked.check())


class Sites:
    """The sites that are asked with wrong settings; each is started when it is first asked."""

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self.bench, self.stack = bench, stack
        self.started: dict[str, Site] = {}

    def get(self, pair: Pair, kind: str, name: str) -> Site:
        """One of them, whose end is that of the stack."""
        if name not in self.started:
            site = running(self.bench, pair, kind, SITES[name])
            self.started[name] = self.stack.enter_context(site)
        return self.started[name]


@pytest.fixture(scope="module")
def sites(bench: Bench) -> Iterator[Sites]:
    with ExitStack() as stack:
        yield Sites(bench, stack)


MARKING = [
    "project.odd.Middleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# The site, the settings that are wrong on our side, and those that are named.
CLASSES = "DEFAULT_AUTHENTICATION_CLASSES"
TOKEN, BASIC, SESSION = (
    f"rest_framework.authentication.{name}Authentication" for name in ("Token", "Basic", "Session")
)
WRONG: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "another keyword": ("plain", {"TOKEN_KEYWORDS": "Bearer"}, {"TOKEN_KEYWORDS"}),
    "a keyword too few": ("bearer", {"TOKEN_KEYWORDS": "Bearer"}, {"TOKEN_KEYWORDS"}),
    "keywords in another order": ("bearer", {"TOKEN_KEYWORDS": "Token,Bearer"}, {"TOKEN_KEYWORDS"}),
    "one class of two": ("basic-token", {CLASSES: TOKEN}, {CLASSES}),
    "one class of three": ("drf-defaults", {CLASSES: TOKEN}, {CLASSES}),
    "a class too many": ("plain", {CLASSES: f"{TOKEN},{BASIC}"}, {CLASSES}),
    "a class that does not challenge": (
        "plain",
        {CLASSES: f"{SESSION},{TOKEN}", "SECRET_KEY": "k"},
        {CLASSES},
    ),
    "another language": ("german", {"LANGUAGE_CODE": "en-us"}, {"LANGUAGE_CODE"}),
    "no language of the request": ("locale", {"MIDDLEWARE": ",".join(MARKING[1:])}, {"LANGUAGES"}),
    "no slash": ("plain", {"APPEND_SLASH": "false"}, {"APPEND_SLASH"}),
    "fewer hosts": ("plain", {"ALLOWED_HOSTS": "127.0.0.1"}, {"ALLOWED_HOSTS"}),
    "more hosts": ("hosts", {"ALLOWED_HOSTS": "*"}, {"ALLOWED_HOSTS"}),
    "other hosts": ("hosts", {"ALLOWED_HOSTS": "other.test"}, {"ALLOWED_HOSTS"}),
    "frames": ("plain", {"X_FRAME_OPTIONS": "SAMEORIGIN"}, {"X_FRAME_OPTIONS"}),
    "referrer": ("plain", {"SECURE_REFERRER_POLICY": "None"}, {"SECURE_REFERRER_POLICY"}),
    "opener": ("plain", {"SECURE_CROSS_ORIGIN_OPENER_POLICY": "None"}, {"SECURE_CROSS_ORIGIN_OPENER_POLICY"}),
    "nosniff": ("plain", {"SECURE_CONTENT_TYPE_NOSNIFF": "false"}, {"SECURE_CONTENT_TYPE_NOSNIFF"}),
    "HSTS": ("hsts-preload", {"SECURE_HSTS_PRELOAD": "false"}, {"SECURE_HSTS_SECONDS"}),
    "a redirect too many": ("hsts-preload", {"SECURE_SSL_REDIRECT": "true"}, {"SECURE_SSL_REDIRECT"}),
    "no redirect": ("https", {"SECURE_SSL_REDIRECT": "false"}, {"SECURE_SSL_REDIRECT"}),
    "another host of https": ("https", {"SECURE_SSL_HOST": "a.test"}, {"SECURE_SSL_REDIRECT"}),
    "www": ("www", {"PREPEND_WWW": "false"}, {"PREPEND_WWW"}),
    "no www": ("plain", {"PREPEND_WWW": "true"}, {"PREPEND_WWW"}),
    "prefix": ("plain", {"FORCE_SCRIPT_NAME": "/app"}, {"FORCE_SCRIPT_NAME"}),
    "user agents": ("plain", {"DISALLOWED_USER_AGENTS": "check$"}, {"DISALLOWED_USER_AGENTS"}),
    "an older Django": ("plain", {"DJANGO_VERSION": "5.0"}, {"DJANGO_VERSION"}),
    "an older DRF": ("plain", {"DRF_VERSION": "3.15"}, {"DRF_VERSION"}),
    "format": ("plain", {"URL_FORMAT_OVERRIDE": "as"}, {"URL_FORMAT_OVERRIDE"}),
    "login": ("plain", {"LOGIN_PATH": "/log-in/"}, {"LOGIN_PATH"}),
    "secret": ("plain", {"SECRET_PATH": "/hidden/"}, {"SECRET_PATH"}),
    "another view": ("plain", {"LOGIN_PATH": "/whoami/", "SECRET_PATH": "None"}, {"LOGIN_PATH"}),
    "two at once": (
        "plain",
        {"X_FRAME_OPTIONS": "SAMEORIGIN", "APPEND_SLASH": "false"},
        {"X_FRAME_OPTIONS", "APPEND_SLASH"},
    ),
}


@SQLITE
@pytest.mark.newest_only
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_and_no_other(
    sites: Sites, pair: Pair, kind: str, wrong: tuple[str, dict[str, str], set[str]]
) -> None:
    name, settings, expected = wrong
    done = sites.get(pair, kind, name).check(**settings)
    assert (done.returncode, named(done)) == (1, expected), done.stderr
    assert done.stderr.startswith("SystemCheckError: ")
    assert done.stderr.count("HINT: ") >= len(expected)


@SQLITE
@pytest.mark.newest_only
def test_answers_that_never_come_from_the_view_are_no_yes(sites: Sites, pair: Pair, kind: str) -> None:
    """Both redirect every question to https, so that nothing of the view is compared."""
    done = sites.get(pair, kind, "https").check(SECURE_PROXY_SSL_HEADER="")
    assert done.returncode == 1
    assert "(drf_authtoken.E010) GET /api-token-auth/: this service's own answer is " in done.stderr


@SQLITE
@pytest.mark.newest_only
def test_the_sites_python_is_named(sites: Sites, pair: Pair, kind: str) -> None:
    other = "3.12" if pair.python_version() >= (3, 13) else "3.13"
    done = sites.get(pair, kind, "plain").check(PYTHON_VERSION=other)
    assert named(done) == {"PYTHON_VERSION"}, done.stderr


@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["postgres"])
def test_questions_write_no_row_and_look_nobody_up(bench: Bench, pair: Pair, kind: str) -> None:
    """All statements of both during a whole check: nothing is written, and no user is asked for by name."""
    with running(bench, pair, kind, SITES["plain"]) as site:
        bench.cluster.log_statements(site.url.rsplit("/", 1)[1])
        begin = len(bench.cluster.process.log_text())
        assert_yes(site.check())
        statements = bench.cluster.process.log_text()[begin:]
    assert '"authtoken_token"."key" = ' in statements, "Django's look-up is in the log"
    assert not re.search(r"INSERT INTO|UPDATE \S+ SET|DELETE FROM|\"username\" = ", statements)


@SQLITE
@pytest.mark.newest_only
def test_what_is_not_djangos_is_a_warning(bench: Bench, pair: Pair, kind: str) -> None:
    """A header of a middleware that we do not know, and another page for a bad request: no error."""
    settings = SITES["plain"] | {"ALLOWED_HOSTS": ["127.0.0.1"]}
    with running(bench, pair, kind, settings) as site:
        odd = settings | {"MIDDLEWARE": MARKING, "DEBUG": True}
        with start_django(pair, site.url, odd, bench.log("django")) as marked:
            done = site.check(marked.base)
    assert (done.returncode, named(done)) == (0, set()), done.stderr
    assert f"{marked.base} (x-odd): (drf_authtoken.W006)" in done.stderr
    assert f"{marked.base}: (drf_authtoken.W005)" in done.stderr


@SQLITE
@pytest.mark.newest_only
def test_a_prefix_of_the_url_stands_before_each_path(bench: Bench, pair: Pair, kind: str) -> None:
    settings = SITES["plain"] | {"FORCE_SCRIPT_NAME": "/app"}
    with running(bench, pair, kind, settings, SCRIPT_NAME="/app") as site:
        assert_yes(site.check(f"{site.service.base}/app/"))
        without = site.check(f"{site.service.base}/app", FORCE_SCRIPT_NAME="None")
        whole = site.check(f"{site.service.base}/app/api-token-auth/")
    assert named(without) == {"FORCE_SCRIPT_NAME"}, without.stderr
    assert whole.returncode == 1
    assert "(drf_authtoken.E009) the path of a view stands in the URL" in whole.stderr


@SQLITE
@pytest.mark.newest_only
def test_a_site_is_asked_over_tls_and_over_a_unix_socket(
    bench: Bench, pair: Pair, kind: str, tmp_path: Path
) -> None:
    """Its certificate must be one of an authority that this machine trusts."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("site", "localhost")
    url = bench.migrated_url(pair, kind)
    file = tmp_path / "exported.toml"
    file.write_text(export(pair, url, SITES["plain"]).stdout)
    port, path = free_port(), tmp_path / "site.sock"
    argv: list[str | Path] = ["-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--no-control-socket"]
    argv += [f"--certfile={certificate}", f"--keyfile={key}", "project.wsgi"]
    env = site_env(url, SITES["plain"])
    by_tls = Process([pair.python, *argv], log=bench.log("django"), cwd=SITE, env=env)
    argv = ["-m", "gunicorn", f"--bind=unix:{path}", "--no-control-socket", "project.wsgi"]
    by_path = Process([pair.python, *argv], log=bench.log("django"), cwd=SITE, env=env)
    by_tls.wait_for_port(("127.0.0.1", port))
    by_path.wait_for("Listening at: unix:")
    site = Site(Service(by_tls, ("127.0.0.1", port)), file, url)
    trusted = {"SSL_CERT_FILE": str(authority.file)}
    try:
        assert_yes(site.check(f"https://localhost:{port}", **trusted))
        assert_yes(site.check(f"unix:{path}"))
        for address, env, told in (
            (f"https://localhost:{port}", {}, "TLS failed: invalid peer certificate: UnknownIssuer"),
            (f"https://127.0.0.1:{port}", trusted, "not valid for name"),
            (f"http://localhost:{port}", {}, "the site cannot be asked"),
        ):
            done = site.check(address, **env)
            assert (done.returncode, f"{address}: (drf_authtoken.E009)" in done.stderr) == (1, True), done
            assert told in done.stderr
    finally:
        by_tls.stop()
        by_path.stop()


@contextmanager
def peer(answer: bytes, endless: bool = False) -> Iterator[str]:
    """Somebody who answers every connection with these bytes, for ever or once."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(answer)
                    while endless:
                        connection.sendall(b"a" * 65536)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@SQLITE
@pytest.mark.newest_only
def test_who_does_not_answer_as_a_site_is_one_message(sites: Sites, pair: Pair, kind: str) -> None:
    site = sites.get(pair, kind, "plain")
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with peer(b"SSH-2.0-OpenSSH_9.2\r\n") as ssh, peer(head, endless=True) as endless, peer(b"") as silent:
        nobody = f"http://127.0.0.1:{free_port()}"
        for address, told in (
            (nobody, "Connection refused"),
            (ssh, "the site cannot be asked"),
            (endless, "length limit exceeded"),
            (silent, "the site cannot be asked"),
            ("http://nowhere.invalid", "the site cannot be asked"),
            ("unix:/nowhere/site.sock", "No such file"),
        ):
            done = site.check(address)
            assert done.returncode == 1
            assert f"{address}: (drf_authtoken.E009) " in done.stderr and told in done.stderr, done.stderr
            assert done.stderr.count("drf_authtoken.") == 1
    for url in ("nonsense", "ftp://a.test", "http://user:hunter2@a.test", "http://a.test/?a", "http://"):
        done = site.check(url)
        assert done.returncode == 2
        assert "--against" in done.stderr and "hunter2" not in done.stderr


@SQLITE
@pytest.mark.newest_only
def test_clocks_that_differ_are_a_warning(sites: Sites, pair: Pair, kind: str) -> None:
    site = sites.get(pair, kind, "plain")
    fake = {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    for offset, side in (("+3600", "behind"), ("-3600", "ahead of")):
        done = site.check(FAKETIME=offset, **fake)
        assert done.returncode == 0, done.stderr
        told = re.search(r"W007\) the site's clock is ([0-9]+) seconds (behind|ahead of)", done.stderr)
        assert told and told[2] == side and 3590 < int(told[1]) < 3610, done.stderr
