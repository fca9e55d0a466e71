"""What the benchmarks share: rows, peers, wrk, and what a process took of the machine."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "compat-tests"))

from bench import Bench  # noqa: E402
from processes import Process, allow_descriptors, free_port  # noqa: E402
from services import Pair, Service, listening, pairs, start_binary, start_django  # noqa: E402

__all__ = ["ALONE", "Bench", "Pair", "Process", "Service", "free_port", "pairs", "start_binary", "start_django"]

# A service with one thread for requests: what it costs does not depend on the cores.
ALONE = {"REQUEST_THREADS": 1}

allow_descriptors()
TICK = os.sysconf("SC_CLK_TCK")
PEERS = PROJECT / "target/venvs/bench/bin/python"
WRK = PROJECT / "scripts/bench_wrk.lua"
# A key is made of its number by arithmetic that SQL, Lua and pgbench share: spread over the index, as random
# keys are.
MULTIPLIER, PRIME = 1_234_577, 10_000_019
KEY = f"lpad((i::bigint * {MULTIPLIER} % {PRIME})::text, 40, '0')"
LOOKUP = (
    "SELECT t.key, u.id, u.username, u.is_active FROM authtoken_token t"
    " JOIN auth_user u ON t.user_id = u.id WHERE t.key = "
)


def fill(url: str, first: int, last: int) -> None:
    """Users and their tokens, from one number to another."""
    users = (
        "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,"
        " is_active, date_joined) SELECT i, '!', false, 'user' || i, '', '', '', false, true, now()"
        " FROM generate_series(%s::bigint, %s::bigint) i"
    )
    key = KEY.replace("%", "%%")
    tokens = (
        f"INSERT INTO authtoken_token SELECT {key}, now(), i FROM generate_series(%s::bigint, %s::bigint) i"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        # The rows are right by their making; a check of each one's user would take most of the time.
        connection.execute("SET session_replication_role = replica")
        connection.execute(users, (first, last))
        connection.execute(tokens, (first, last))
        connection.execute("VACUUM ANALYZE auth_user, authtoken_token")


def django_settings(url: str) -> dict[str, Any]:
    """Persistent connections: Django's default opens one for each request, and is five times slower."""
    name, _, rest = url.removeprefix("postgres://").partition(":")
    password, _, rest = rest.partition("@")
    address, _, database = rest.partition("/")
    host, _, port = address.partition(":")
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": database, "USER": name, "PASSWORD": password}
    return {"DATABASES": {"default": entry | {"HOST": host, "PORT": port, "CONN_MAX_AGE": None}}}


def start_drf(work: Bench, pair: Pair, url: str) -> Service:
    """The site under gunicorn: two sync workers, persistent connections."""
    return start_django(pair, url, django_settings(url), work.log("drf"))


def start_fastapi(work: Bench, url: str) -> Service:
    """The same view in FastAPI with asyncpg, two uvicorn workers."""
    port = free_port()
    argv = [PEERS, "-m", "uvicorn", "bench_fastapi:app", "--workers=2", f"--port={port}", "--no-access-log"]
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    process = Process(argv, log=work.log("fastapi"), env=env, cwd=PROJECT / "scripts")
    process.wait_for_port(("127.0.0.1", port))
    # Each worker says so when its pool is there.
    process.wait_for(r"(?s)(startup complete.*){2}")
    return Service(process, ("127.0.0.1", port))


def start_hello(work: Bench) -> Service:
    """poem's own server with one handler that answers a constant."""
    built = subprocess.run(
        ["cargo", "bench", "--quiet", "--no-run", "--message-format=json", "--bench", "hello"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = [json.loads(line) for line in built.stdout.splitlines()]
    (binary,) = (
        line["executable"]
        for line in told
        if line.get("target", {}).get("name") == "hello" and line.get("executable")
    )
    return listening(Process([binary], log=work.log("hello")))


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time of these processes so far."""
    ticks = 0
    for pid in pids:
        # Some end while they are looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def cpu_seconds_with_ended(pid: int) -> float:
    """The processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid: int, kind: str = "Rss") -> float:
    """Resident memory in MB of a process and all below it; `Pss` counts shared pages once."""
    total = 0
    for one in descendants(pid):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(rollup.split(f"\n{kind}:")[1].split()[0])
    return total / 1024


@dataclass(frozen=True)
class Asked:
    """What wrk asks for: which tokens of how many, and how many different ones, taken evenly."""

    tokens: int
    kind: str = "good"
    different: int = 10_000


def wrk(service: Service, clients: int, seconds: float, asked: Asked) -> dict[str, Any]:
    """One run of wrk, with one thread: requests a second, p50 and p99 in ms, and how many failed."""
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout=30s", "-s", WRK]
    argv += [f"{service.base}/secret/", "--", asked.kind, asked.tokens, asked.different, MULTIPLIER, PRIME]
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(
    service: Service,
    postgres: int,
    clients: int,
    seconds: float,
    asked: Asked,
    behind: Sequence[Service] = (),
) -> dict[str, Any]:
    """The same, with memory, and the CPU that a request took: of the service (of those behind a proxy), of
    PostgreSQL."""
    counted = [one.process.child.pid for one in behind or (service,)]
    before = sum(cpu_seconds(descendants(pid)) for pid in counted)
    backends = {pid: cpu_seconds([pid]) for pid in descendants(postgres)}
    found = wrk(service, clients, seconds, asked)
    each = 1e6 / max(1, found["requests"])
    found["cpu"] = (sum(cpu_seconds(descendants(pid)) for pid in counted) - before) * each
    # A backend that ended meanwhile has taken its figures with it; persistent connections do not end.
    now = {pid: cpu_seconds([pid]) for pid in descendants(postgres)}
    found["postgres_cpu"] = sum(used - backends.get(pid, 0.0) for pid, used in now.items()) * each
    found["rss"] = sum(memory(pid) for pid in counted)
    found["pss"] = sum(memory(pid, "Pss") for pid in counted)
    return found


def pgbench(
    url: str, postgres: int, clients: int, seconds: float, asked: Asked, folder: Path
) -> dict[str, Any]:
    """Single prepared look-ups of the same tokens, one after the other on each connection, and the CPU of
    PostgreSQL that one took."""
    number = f"1 + random(0, {asked.different - 1}) * {asked.tokens // asked.different}"
    key = KEY.replace("i::bigint", ":i::bigint")
    script = folder / "lookup.sql"
    script.write_text(f"\\set i {number}\n{LOOKUP}{key};\n")
    argv = ["pgbench", "-n", "-M", "prepared", "-f", script, "-c", clients, "-j", min(clients, 2)]
    argv += ["-T", max(1, round(seconds)), url]
    # Its connections end with it, or shortly after: what they took is PostgreSQL's own then, as of children that it has
    # waited for.
    others, before = set(descendants(postgres)), cpu_seconds_with_ended(postgres)
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=True)
    end = time.monotonic() + 5
    while set(descendants(postgres)) - others and time.monotonic() < end:
        time.sleep(0.01)
    used = cpu_seconds_with_ended(postgres) - before
    rate = done.stdout.split("tps = ")[1].split()[0]
    number_of = done.stdout.split("transactions actually processed: ")[1].split()[0].split("/")[0]
    return {"rate": float(rate), "postgres_cpu": used * 1e6 / max(1, int(number_of))}


def connections(service: Service, port: int) -> int:
    """How many connections a service and all below it hold to a port of this machine: PostgreSQL's."""
    sockets = set()
    for pid in descendants(service.process.child.pid):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                sockets.add(os.readlink(entry))
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        established = state == "01" and int(remote.split(":")[1], 16) == port
        held += established and f"socket:[{rest[5]}]" in sockets
    return held


def measured_when() -> str:
    """The day, and what was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return f"{datetime.now(UTC):%Y-%m-%d}, at {commit.stdout.strip() or 'no commit'}"


def publish(
    name: str,
    found: dict[str, Any],
    text: Callable[[dict[str, Any]], str],
    draw: Callable[[dict[str, Any], Path], None],
    options: Any,
) -> None:
    """Figures, table and chart into the folder of the options; with `--readme` into README and beside the
    scripts as well, where a test compares them."""
    found = {"when": measured_when(), **found}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / f"{name}.md").write_text(text(found) + "\n")
    draw(found, options.out / f"{name}.svg")
    print(text(found))
    if options.readme:
        readme = PROJECT / "README.md"
        part = re.compile(rf"(?<=<!-- bench {name} -->\n).*?(?=<!-- /bench {name} -->)", re.S)
        readme.write_text(part.sub(lambda _: text(found) + "\n", readme.read_text()))
        for kind in ("svg", "json"):
            shutil.copy(options.out / f"{name}.{kind}", PROJECT / f"scripts/bench_{name}.{kind}")


def arguments(description: str | None, seconds: float) -> argparse.ArgumentParser:
    """What the commands have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=seconds, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=PROJECT / "target/bench")
    parser.add_argument("--readme", action="store_true", help="puts table and chart into README")
    parser.add_argument("--tiny", action="store_true", help="shows that it runs")
    return parser
