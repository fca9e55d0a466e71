"""Starts what is compared: Django under gunicorn, our binary, and Django's hands on the rows."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any

import psycopg

from processes import Process, StartError
from sites import QUICK_HASH

HERE = Path(__file__).parent
PROJECT = HERE.parent
SITE = HERE / "site"
BINARY = Path(os.environ.get("DRF_AUTHTOKEN_BIN", PROJECT / "target/release/drf-authtoken"))
VENVS = Path(os.environ.get("COMPAT_VENVS", PROJECT / "target/venvs"))
EXPORT = PROJECT / "scripts/export_settings.py"
DEBIAN = PROJECT / "target/debian/usr"
# As scripts/test does what only root may.
AS_ROOT = [] if os.getuid() == 0 else ["sudo", "-n"]


def program(name: str) -> str:
    """A program that scripts/test has unpacked, or that is installed."""
    path = os.pathsep.join([f"{DEBIAN}/sbin", f"{DEBIAN}/bin", os.environ["PATH"], "/usr/sbin"])
    found = shutil.which(name, path=path)
    assert found, f"{name} is missing: scripts/test unpacks it"
    return found


@dataclass(frozen=True)
class Pair:
    """A Django with its DRF, in a virtual environment of its own."""

    django: str
    python: Path

    def python_version(self) -> tuple[int, ...]:
        """The version of its Python, as its environment has noted it."""
        noted = (self.python.parent.parent / "pyvenv.cfg").read_text()
        match = re.search(r"^version(?:_info)? *= *([0-9]+)\.([0-9]+)", noted, re.M)
        assert match, noted
        return int(match[1]), int(match[2])

    def versions(self) -> dict[str, str]:
        """The releases as our settings name them."""
        pinned = (HERE / "requirements" / f"django-{self.django}.txt").read_text()
        match = re.search(r"^Django==(\S+)\ndjangorestframework==(\S+)$", pinned, re.M)
        assert match, pinned
        python = ".".join(map(str, self.python_version()))
        return {"DJANGO_VERSION": match[1], "DRF_VERSION": match[2], "PYTHON_VERSION": python}

    def run(self, *argv: str | Path, url: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`manage.py …` on a database."""
        return subprocess.run(
            [str(self.python), "manage.py", *map(str, argv)],
            cwd=SITE,
            env=site_env(url, QUICK_HASH) | env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def migrate(self, url: str, settings: Mapping[str, Any] = QUICK_HASH) -> None:
        """Django's own schema in an empty database; the site's own models have no migrations."""
        if settings.get("AUTH_USER_MODEL") == "accounts.NumberUser" and url.startswith("postgres"):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE SCHEMA accounts")
        told = json.dumps(dict(settings))
        done = self.run("migrate", "-v0", "--run-syncdb", url=url, SITE_SETTINGS=told)
        if done.returncode:
            raise StartError(f"manage.py migrate failed:\n{done.stderr}")


def pairs(stem: str = "django") -> list[Pair]:
    """The pairs that scripts/test has installed, newest first; `export` for those that only export."""
    found = [
        Pair(path.name.removeprefix(f"{stem}-"), path / "bin/python") for path in VENVS.glob(f"{stem}-*")
    ]
    return sorted(found, key=lambda pair: tuple(map(int, pair.django.split("."))), reverse=True)


def site_env(url: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The environment in which the site runs on that database."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_COLORS": "nocolor",
        "DATABASE_URL": url,
        "SITE_SETTINGS": json.dumps(dict(settings)),
    }


@dataclass
class Service:
    """A listening server."""

    process: Process
    address: tuple[str, int]

    @property
    def base(self) -> str:
        """The URL without a path."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def operations(self) -> Service:
        """The listener of ours for operations, at the address that it logs."""
        match = self.process.wait_for(r"operations.*http://(127\.0\.0\.1):([0-9]+)")
        return Service(self.process, (match[1], int(match[2])))

    def is_alive(self) -> bool:
        """Whether its process has not ended."""
        return self.process.child.poll() is None

    def stop(self) -> int:
        """Ends it and says its exit code."""
        return self.process.stop()


def listening(process: Process) -> Service:
    """Reads the port from the log line that gunicorn and we print alike, then connects."""
    match = process.wait_for(r"Listening at: http://(127\.0\.0\.1):([0-9]+)")
    address = (match[1], int(match[2]))
    process.wait_for_port(address)
    return Service(process, address)


def start_django(
    pair: Pair,
    url: str,
    settings: Mapping[str, Any],
    log: Path,
    *,
    seed: str = "0",
    application: str = "project.wsgi",
    **env: str,
) -> Service:
    """The site under gunicorn with two sync workers, under one hash seed."""
    argv = ["-m", "gunicorn", "--bind=127.0.0.1:0", "--workers=2", "--timeout=120", "--no-control-socket"]
    argv += ["--preload", application]
    env = site_env(url, settings) | {"PYTHONHASHSEED": seed} | env
    return listening(Process([pair.python, *argv], log=log, cwd=SITE, env=env))


def toml(settings: Mapping[str, Any]) -> str:
    """Settings as a TOML file; JSON's strings, numbers, booleans and lists are TOML too, null is a text."""
    told = {key: "None" if value is None else value for key, value in settings.items()}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in told.items())


def our_env(url: str, **env: str) -> dict[str, str]:
    """The environment for our commands: nothing of the caller's but the PATH; no URL if a file tells it."""
    told = {"DATABASE_URL": url} if url else {}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | told | env


def start_binary(
    pair: Pair,
    url: str,
    settings: Mapping[str, Any],
    log: Path,
    *arguments: str,
    listen: socket.socket | None = None,
    **env: str,
) -> Service:
    """Our service with the same settings, told which Django stands beside it."""
    told = {"ALLOWED_HOSTS": ["*"]} | pair.versions() | dict(settings)
    file = log.with_suffix(".toml")
    file.write_text(toml(told))
    argv: list[str | Path] = [BINARY, "serve", "--bind", "127.0.0.1:0", "--settings", file, *arguments]
    return listening(Process(argv, log=log, env=our_env(url, **env), listen=listen))


def export(pair: Pair, url: str, settings: Mapping[str, Any], **env: str) -> subprocess.CompletedProcess[str]:
    """Our settings file as scripts/export_settings.py writes it inside the site."""
    return subprocess.run(
        [str(pair.python), str(EXPORT)],
        cwd=SITE,
        env=site_env(url, settings) | env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def start_exported(pair: Pair, url: str, settings: Mapping[str, Any], log: Path, **env: str) -> Service:
    """Our service beside a site, told by the export, and by what only we have."""
    file = log.with_suffix(".toml")
    done = export(pair, url, settings)
    if done.returncode:
        raise StartError(f"the export failed:\n{done.stderr}")
    file.write_text(done.stdout)
    argv: list[str | Path] = [BINARY, "serve", "--bind", "127.0.0.1:0", "--settings", file]
    return listening(Process(argv, log=log, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | env))


class Exporter:
    """The same for many sites, in forks of one process that has read Django; see `site/exports.py`."""

    def __init__(self, pair: Pair) -> None:
        self.child = subprocess.Popen(
            [str(pair.python), "exports.py"],
            cwd=SITE,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def export(self, url: str, settings: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """What `export` answers."""
        assert self.child.stdin and self.child.stdout
        order = {"script": str(EXPORT), "env": site_env(url, settings)}
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        answers, _, _ = select([self.child.stdout], [], [], 120)
        if not answers:
            # With its forks; else its late answer would be taken for the next one's.
            os.killpg(self.child.pid, signal.SIGKILL)
            raise AssertionError("the export gives no answer")
        told = json.loads(self.child.stdout.readline())
        return subprocess.CompletedProcess([str(EXPORT)], told["status"], told["stdout"], told["stderr"])

    def stop(self) -> None:
        """Ends it: it reads the end of its input."""
        assert self.child.stdin and self.child.stdout
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()


def run_binary(*argv: str | Path, url: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """One of our commands on a database."""
    return subprocess.run(
        [str(BINARY), *map(str, argv)],
        env=our_env(url, **env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


class Orm:
    """Django's ORM as a co-process, see `site/orm.py`."""

    def __init__(self, pair: Pair, url: str, settings: Mapping[str, Any]) -> None:
        self.child = subprocess.Popen(
            [str(pair.python), "orm.py"],
            cwd=SITE,
            env=site_env(url, settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, do: str, **order: Any) -> Any:
        """Has one order done and answers its value."""
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(json.dumps({"do": do} | order) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def stop(self) -> None:
        """Ends it: it reads the end of its input."""
        assert self.child.stdin and self.child.stdout
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()
