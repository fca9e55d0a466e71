"""Logins side by side: Django under gunicorn with two workers, and this service, on the same rows.

Closed loops for throughput, open loops for what a flood does to others. Ratios are taken within
one run; nothing here is a test, and nothing fails on a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "compat-tests"))

from bench import Bench  # noqa: E402
from databases import User  # noqa: E402
from services import Pair, Service, pairs, start_binary, start_django  # noqa: E402

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
    """Requests at a pace, whether the one before is answered or not."""
    tasks = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(ask()))
    return list(await asyncio.gather(*tasks))


def memory(service: Service) -> float:
    """Resident memory in MB of the process and its children."""
    parent = service.process.child.pid
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True).stdout.split()
    total = 0
    for pid in [str(parent), *children]:
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(status.split("VmRSS:")[1].split()[0])
    return total / 1024


async def flood(service: Service, clients: int, seconds: float, pace: float) -> dict[str, Any]:
    """What `/secret/` is like at a pace while so many clients log in with a wrong password."""
    before = memory(service)
    paced = await open_loop(pace, min(10.0, seconds), lambda: secret(service))
    idle = percentiles([latency for _, latency in paced])
    logins: list[tuple[int, float]] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            answer = await login(service, "u0", "wrong")
            logins.append(answer)
            if answer[0] == 503:
                # Told to come back after a second; a flood that does not wait measures itself.
                await asyncio.sleep(0.1)

    clients_at_work = asyncio.gather(*(client() for _ in range(clients)))
    paced = await open_loop(pace, seconds, lambda: secret(service))
    after = memory(service)
    await clients_at_work
    refused = [latency for status, latency in logins if status == 503]
    return {
        "pace": pace,
        "idle": idle,
        "flooded": percentiles([latency for status, latency in paced if status == 200]),
        "errors": sum(status != 200 for status, _ in paced),
        "logins": len(logins) - len(refused),
        "refused": percentiles(refused),
        "memory_before": before,
        "memory_after": after,
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


async def enumeration(service: Service, samples: int, encoded: str, iterations: int) -> dict[str, float]:
    """The median of a refused login for each kind of account, interleaved; the first kind twice."""
    names = ["wrong-password", "wrong-password", "unknown"]
    names += [user.name for user in accounts(encoded, iterations) if user.name != "wrong-password"]
    times: dict[int, list[float]] = {at: [] for at in range(len(names))}
    for _ in range(samples):
        for at, name in enumerate(names):
            times[at].append((await login(service, name, "not the password"))[1])
    medians = {at: statistics.median(found) * 1000 for at, found in times.items()}
    return {(name if at else name + " (A/A)"): medians[at] for at, name in enumerate(names)}


def throughput(work: Bench, pair: Pair, seconds: float) -> dict[str, Any]:
    """Logins a second at several numbers of clients, the two sides alternating."""
    database = work.database(pair, "postgres")
    encoded = encode(pair, database.url, 1_500_000)
    users = [User(f"u{number}", PASSWORD, encoded, f"{number:040x}") for number in range(64)]
    users[0] = User("u0", PASSWORD, encoded, KEY)
    database.reset(users)
    django = start_django(pair, database.url, {}, work.log("django"))
    ours = start_binary(pair, database.url, {}, work.log("ours"))
    figures: dict[str, Any] = {}
    for clients in (1, 8, 16, 64):
        for name, service in (("django", django), ("ours", ours)):
            turn = iter(range(10**9))
            ask = lambda service=service, turn=turn: login(service, f"u{next(turn) % 64}")  # noqa: E731
            figures[f"{name} {clients}"] = asyncio.run(closed_loop(clients, seconds, ask))
            print(f"{name:8} {clients:3} clients: {json.dumps(figures[f'{name} {clients}'])}", flush=True)
    for name, service, pace in (("django", django, 20.0), ("ours", ours, 200.0)):
        figures[f"flood {name}"] = asyncio.run(flood(service, 200, 60.0 if name == "ours" else 20.0, pace))
        print(f"flood {name}: {json.dumps(figures[f'flood {name}'])}", flush=True)
    django.stop()
    ours.stop()
    return figures


def equal_work(work: Bench, pair: Pair) -> dict[str, Any]:
    """The enumeration tables at few and at the default iterations."""
    found = {}
    for iterations, samples in ((20_000, 200), (1_500_000, 20)):
        database = work.database(pair, "postgres")
        encoded = encode(pair, database.url, iterations)
        database.reset(accounts(encoded, iterations))
        settings = {"PBKDF2_ITERATIONS": iterations}
        ours = start_binary(pair, database.url, settings, work.log("ours"))
        found[str(iterations)] = asyncio.run(enumeration(ours, samples, encoded, iterations))
        print(f"enumeration at {iterations}: {json.dumps(found[str(iterations)])}", flush=True)
        ours.stop()
    return found


def kernel() -> dict[str, Any]:
    """What the kernel's own benchmark prints."""
    command = ["cargo", "bench", "--quiet", "--bench", "pbkdf2"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    print(done.stdout, done.stderr, flush=True)
    return {"exit": done.returncode, "text": done.stdout}


def draw(figures: dict[str, Any], file: Path) -> None:
    """Logins a second, a pair of bars for each number of clients."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    counts = (1, 8, 16, 64)
    axes = pyplot.subplots(figsize=(6, 3.5))[1]
    for shift, name in ((-0.2, "django"), (0.2, "ours")):
        rates = [figures[f"{name} {clients}"]["rate"] for clients in counts]
        bars = axes.bar([at + shift for at in range(4)], rates, 0.4, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(4), [str(clients) for clients in counts])
    axes.set(xlabel="clients", ylabel="logins a second", title="1,500,000 iterations, 2 cores")
    axes.legend()
    axes.figure.savefig(file, bbox_inches="tight")


def table(figures: dict[str, Any]) -> str:
    """The figures for the README."""
    lines = ["| clients | Django, logins/s | ours | ratio | Django p50 ms | ours |", "|---|---|---|---|---|---|"]
    for clients in (1, 8, 16, 64):
        theirs, ours = figures[f"django {clients}"], figures[f"ours {clients}"]
        ratio = ours["rate"] / theirs["rate"]
        lines.append(
            f"| {clients} | {theirs['rate']:.2f} | {ours['rate']:.2f} | {ratio:.1f} "
            f"| {theirs['p50']:.0f} | {ours['p50']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each closed loop")
    parser.add_argument("--out", type=Path, default=PROJECT / "target/bench")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"kernel": kernel()}
    with tempfile.TemporaryDirectory() as folder:
        work = Bench(Path(folder))
        try:
            figures |= throughput(work, pairs()[0], options.seconds)
            figures["enumeration"] = equal_work(work, pairs()[0])
        finally:
            work.stop()
    (options.out / "login.json").write_text(json.dumps(figures, indent=2))
    (options.out / "login.md").write_text(table(figures) + "\n")
    draw(figures, options.out / "login.svg")
    print(table(figures))


if __name__ == "__main__":
    main()
