"""Logins side by side: Django under gunicorn with two workers, and this service, on the same rows.

Closed loops for throughput, open loops for what a flood does to others. Ratios are taken within
one run; nothing here is a test, and nothing fails on a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench_load import (
    ALONE,
    PROJECT,
    Bench,
    Pair,
    Service,
    arguments,
    memory,
    pairs,
    publish,
    start_binary,
    start_django,
)

from databases import User

# Seconds that a client waits for an answer under a flood.
PATIENCE = 8.0
COUNTS = (1, 8, 16, 64)
PASSWORD = "correct horse battery staple"
KEY = "0123456789abcdef0123456789abcdef01234567"


async def request(service: Service, head: str, body: bytes = b"") -> tuple[int, float]:
    """One request on a connection of its own: status, and seconds from the connect to the last byte."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(*service.address)
    try:
        writer.write(f"{head}\r\nHost: localhost\r\nConnection: close\r\n".encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    return int(answer[9:12]), time.perf_counter() - began


def login(service: Service, name: str, password: str = PASSWORD) -> Any:
    """POST /api-token-auth/."""
    data = json.dumps({"username": name, "password": password}).encode()
    fields = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return request(service, "POST /api-token-auth/ HTTP/1.1", fields.encode() + data)


def secret(service: Service) -> Any:
    """GET /secret/ with a good token."""
    return request(service, "GET /secret/ HTTP/1.1", f"Authorization: Token {KEY}\r\n\r\n".encode())


async def closed_loop(clients: int, seconds: float, ask: Callable[[], Any]) -> dict[str, Any]:
    """So many clients, each with one request at a time; a request that ends late still counts."""
    end = time.perf_counter() + seconds
    found: list[tuple[int, float]] = []

    async def client() -> None:
        while time.perf_counter() < end:
            found.append(await ask())

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - began
    good = [latency for status, latency in found if status == 200]
    return {"rate": len(good) / took, "refused": len(found) - len(good)} | percentiles(good)


def percentiles(latencies: Iterable[float]) -> dict[str, float]:
    """p50, p99 and the longest, in milliseconds."""
    ordered = sorted(latencies)
    if not ordered:
        return {"p50": float("nan"), "p99": float("nan"), "max": float("nan"), "n": 0}
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": ordered[-1] * 1000, "n": len(ordered)}


async def open_loop(rate: float, seconds: float, ask: Callable[[], Any]) -> list[tuple[int, float]]:
    """Requests at a pace, whether the one before is answered or not; status 0 is no answer in time."""

    async def once() -> tuple[int, float]:
        try:
            return await asyncio.wait_for(ask(), PATIENCE)
        except TimeoutError:
            return 0, PATIENCE

    tasks = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(once()))
    return list(await asyncio.gather(*tasks))


def address(service: Service) -> str:
    """For the command line of a client."""
    return f"{service.address[0]}:{service.address[1]}"


def paced(service: Service, seconds: float, pace: float) -> subprocess.Popen[str]:
    """A client in a process of its own, before all others: it is the clock, not the load."""
    argv = [sys.executable, __file__, "--paced", address(service), f"--seconds={seconds}", f"--pace={pace}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


async def pace_of(target: tuple[str, int], seconds: float, pace: float) -> dict[str, Any]:
    """What [`paced`] does: `/secret/` at the pace, and five log-ins a second with a wrong password."""
    with suppress(PermissionError):
        # At a niceness of -10 it was itself what waited for a core, up to 20 ms.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    service = Service(None, target)  # type: ignore[arg-type]
    secrets, logins = await asyncio.gather(
        open_loop(pace, seconds, lambda: secret(service)),
        open_loop(5, seconds, lambda: login(service, "u0", "wrong")),
    )
    return {
        "secret": percentiles(latency for status, latency in secrets if status in (0, 200)),
        "errors": sum(status != 200 for status, _ in secrets),
        "refused": percentiles(latency for status, latency in logins if status == 503),
    }


def told(client: subprocess.Popen[str]) -> dict[str, Any]:
    """What it printed last."""
    output, _ = client.communicate()
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


@contextmanager
def busy_loops() -> Iterator[None]:
    """A loop a core, as nice as the hashing threads are: what any busy program does to a request."""
    argv = ["nice", "-n", "10", sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(argv) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def flood(service: Service, clients: int, seconds: float, pace: float) -> dict[str, Any]:
    """What `/secret/` is like at a pace, alone and while so many clients log in with a wrong password."""
    before = memory(service.process.child.pid)
    idle = told(paced(service, min(4.0, seconds), pace))
    with busy_loops():
        beside = told(paced(service, min(15.0, seconds), pace))
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{round(seconds) + 1}s", "--timeout=60s"]
    argv += ["-s", str(PROJECT / "scripts/bench_flood.lua"), service.base]
    flooding = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    measuring = paced(service, seconds, pace)
    most = before
    while measuring.poll() is None:
        most = max(most, memory(service.process.child.pid))
        time.sleep(0.25)
    flooded = told(measuring)
    return {
        "pace": pace,
        "idle": idle["secret"],
        "beside": beside["secret"],
        "flooded": flooded["secret"],
        "errors": flooded["errors"],
        "refused": flooded["refused"],
        "answers": told(flooding),
        "memory_before": before,
        "memory_most": most,
    }


def encode(pair: Pair, url: str, iterations: int) -> str:
    """A hash that Django makes of the password."""
    code = (
        "from django.contrib.auth.hashers import PBKDF2PasswordHasher as H\n"
        f"print(H().encode({PASSWORD!r}, 'abcdefghijklmnopqrstuv', {iterations}))"
    )
    return pair.run("shell", "-v0", "-c", code, url=url).stdout.strip().splitlines()[-1]


def accounts(encoded: str, iterations: int) -> list[User]:
    """Nine kinds of account, after the ordinary one; `unknown` has no row."""
    algorithm, count, salt, digest = encoded.split("$")
    short = f"{algorithm}${count}${salt[:8]}${digest}"
    older = f"{algorithm}${iterations // 2}${salt}${digest}"
    kinds = {
        "wrong password": encoded,
        "unusable": "!" + "x" * 40,
        "unknown algorithm": f"whirlpool${count}${salt}${digest}",
        "corrupt": f"{algorithm}$many${salt}${digest}",
        "older iterations": older,
        "short salt": short,
        "empty": "",
    }
    rows = [User(kind.replace(" ", "-"), PASSWORD, row) for kind, row in kinds.items()]
    return [*rows, User("inactive", PASSWORD, encoded, active=False)]


async def enumeration(
    service: Service, samples: int, together: int, encoded: str, iterations: int
) -> dict[str, float]:
    """The median of a refused log-in for each kind of account, so many at once, in a new order each time.

    The first kind is there twice: what lies between the two is noise.
    """
    names = ["wrong-password", "wrong-password", "unknown"]
    names += [user.name for user in accounts(encoded, iterations) if user.name != "wrong-password"]
    times: list[list[float]] = [[] for _ in names]
    for _ in range(samples):
        order = random.sample(range(len(names)), len(names))
        for first in range(0, len(order), together):
            part = order[first : first + together]
            # Always as many at once: the last ones have company that does not count.
            asked = [names[at] for at in part] + [names[0]] * (together - len(part))
            answers = await asyncio.gather(*(login(service, name, "not the password") for name in asked))
            for at, (status, latency) in zip(part, answers, strict=False):
                assert status == 400, (names[at], status)
                times[at].append(latency)
    medians = [statistics.median(found) * 1000 for found in times]
    return {(name if at else f"{name} (A/A)"): medians[at] for at, name in enumerate(names)}


def throughput(
    work: Bench, pair: Pair, counts: Iterable[int], seconds: float, flooded: float
) -> dict[str, Any]:
    """Logins a second at several numbers of clients, the two sides alternating; then the floods."""
    database = work.database(pair, "postgres")
    encoded = encode(pair, database.url, 1_500_000)
    users = [User(f"u{number}", PASSWORD, encoded, f"{number:040x}") for number in range(64)]
    users[0] = User("u0", PASSWORD, encoded, KEY)
    database.reset(users)
    services = {"django": start_django(pair, database.url, {}, work.log("django"))}
    services["ours"] = start_binary(pair, database.url, ALONE, work.log("ours"))
    figures: dict[str, Any] = {}
    for clients in counts:
        for name, service in services.items():
            turn = iter(range(10**9))
            ask = lambda service=service, turn=turn: login(service, f"u{next(turn) % 64}")  # noqa: E731
            figures[f"{name} {clients}"] = asyncio.run(closed_loop(clients, seconds, ask))
            print(f"{name:8} {clients:3} clients: {json.dumps(figures[f'{name} {clients}'])}", flush=True)
    # Two processes that hash for half a second each have no room for a pace of 200.
    for name, seconds, pace in (("ours", flooded, 200.0), ("django", min(5.0, flooded), 20.0)):
        figures[f"flood {name}"] = flood(services[name], 200, seconds, pace)
        print(f"flood {name}: {json.dumps(figures[f'flood {name}'])}", flush=True)
    for service in services.values():
        service.stop()
    return figures


def equal_work(work: Bench, pair: Pair, plan: Iterable[tuple[int, int, int]]) -> dict[str, Any]:
    """The enumeration tables: iterations, how many at once, and samples of each kind of account."""
    found = {}
    for iterations, together, samples in plan:
        database = work.database(pair, "postgres")
        encoded = encode(pair, database.url, iterations)
        database.reset(accounts(encoded, iterations))
        # One thread has the four lanes.
        settings = ALONE | {"PBKDF2_ITERATIONS": iterations, "HASHING_THREADS": 1}
        with start_binary(pair, database.url, settings, work.log("ours")) as ours:
            medians = asyncio.run(enumeration(ours, samples, together, encoded, iterations))
        name = f"{iterations:,} iterations, {'alone' if together == 1 else f'{together} at once'}"
        found[name] = medians
        print(f"{name}: {json.dumps(medians)}", flush=True)
    return found


def kernel(rounds: int) -> dict[str, Any]:
    """What the kernel's own benchmark prints, beside the hashlib of Django's own Python."""
    argv = ["cargo", "bench", "--quiet", "--bench", "pbkdf2", "--", "--json", f"--rounds={rounds}"]
    argv = [part for word in argv for part in word.split("=")]
    done = subprocess.run(
        [*argv, "--python", str(pairs()[0].python)], cwd=PROJECT, capture_output=True, text=True
    )
    print(done.stdout, done.stderr, flush=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def counts_of(figures: dict[str, Any]) -> list[int]:
    """The numbers of clients that were measured."""
    return [clients for clients in COUNTS if f"ours {clients}" in figures]


def draw(figures: dict[str, Any], file: Path) -> None:
    """Logins a second, a pair of bars for each number of clients."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    counts = counts_of(figures)
    axes = pyplot.subplots(figsize=(6, 3.5))[1]
    for shift, name in ((-0.2, "django"), (0.2, "ours")):
        rates = [figures[f"{name} {clients}"]["rate"] for clients in counts]
        bars = axes.bar([at + shift for at in range(len(counts))], rates, 0.4, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(len(counts)), [str(clients) for clients in counts])
    axes.set(xlabel="clients", ylabel="logins a second", title="1,500,000 iterations, 2 cores")
    axes.legend()
    axes.figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def table(figures: dict[str, Any]) -> str:
    """The figures for the README."""
    version = figures["kernel"]["python"]
    lines = [
        f"| one core, {version} | ns a compression | throughput of hashlib | time of a hash |",
        "|---|---|---|---|",
    ]
    for row in figures["kernel"]["rows"]:
        alone = row["time_of_hashlib"] * row["lanes"]
        cells = [
            row["name"],
            f"{row['ns_per_compression']:.1f}",
            f"{row['throughput_of_hashlib']:.2f}",
            f"{alone:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| clients | Django, logins/s | this service | ratio | Django p50 ms | this service |",
        "|---|---|---|---|---|---|",
    ]
    for clients in counts_of(figures):
        theirs, ours = figures[f"django {clients}"], figures[f"ours {clients}"]
        cells = [f"{clients}", f"{theirs['rate']:.2f}", f"{ours['rate']:.2f}"]
        cells += [f"**{ours['rate'] / theirs['rate']:.1f}**", f"{theirs['p50']:.0f}", f"{ours['p50']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    head = ["under 200 wrong log-ins at once", "`/secret/` a second", "p50 / p99 ms before"]
    head += ["beside a busy loop a core", "meanwhile"]
    head += ["errors", "503 within, ms (p99)", "MB before / most"]
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, label in (("ours", "this service"), ("django", "Django")):
        one = figures[f"flood {name}"]
        parts = [one[part] for part in ("idle", "beside", "flooded")]
        times = [f"{part['p50']:.2f} / {part['p99']:.2f}" for part in parts]
        refused = f"{one['refused']['p99']:.1f}" if one["refused"]["n"] else ""
        memories = f"{one['memory_before']:.0f} / {one['memory_most']:.0f}"
        cells = [label, f"{one['pace']:.0f}", *times, str(one["errors"]), refused, memories]
        lines.append(f"| {' | '.join(cells)} |")
    tables = figures["enumeration"]
    base = {iterations: rows["wrong-password"] for iterations, rows in tables.items()}
    lines += [
        "",
        f"| account | {' | '.join(f'{one}, ms' for one in tables)} |",
        "|---" * (len(tables) + 1) + "|",
    ]
    for kind in next(iter(tables.values())):
        cells = [f"{rows[kind]:.3f} ({rows[kind] / base[one] - 1:+.2%})" for one, rows in tables.items()]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, writes."""
    parser = arguments(__doc__, 8.0)
    parser.add_argument("--flood", type=float, default=60.0, help="seconds of the flood")
    parser.add_argument("--paced", help=argparse.SUPPRESS)
    parser.add_argument("--pace", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.paced:
        host, _, port = options.paced.partition(":")
        print(json.dumps(asyncio.run(pace_of((host, int(port)), options.seconds, options.pace))))
        return
    counts = COUNTS[:2] if options.tiny else COUNTS
    if options.tiny:
        options.seconds, options.flood = 0.1, 1.0
    figures: dict[str, Any] = {"kernel": kernel(1 if options.tiny else 21)}
    plan = [(20_000, 1, 200), (20_000, 4, 200), (1_500_000, 1, 20), (1_500_000, 4, 20)]
    if options.tiny:
        plan = [(1_000, 4, 2)]
    with tempfile.TemporaryDirectory() as folder:
        work = Bench(Path(folder))
        try:
            figures |= throughput(work, pairs()[0], counts, options.seconds, options.flood)
            figures["enumeration"] = equal_work(work, pairs()[0], plan)
        finally:
            work.stop()
    publish("login", figures, table, draw, options)


if __name__ == "__main__":
    main()
