"""What a token check costs as things grow: more tokens, clients, replicas behind nginx; PgBouncer, SQLite.

Rates depend on what else the machine does; what a check costs in CPU hardly does, and tells whether it grows.
"""

from __future__ import annotations

import functools
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench_check import Figures, alternating, in_rounds, medians
from bench_load import (
    ALONE,
    KEY,
    Asked,
    Bench,
    Pair,
    Process,
    Service,
    arguments,
    connections,
    fill,
    free_port,
    measured,
    pairs,
    pgbench,
    publish,
    start_binary,
    start_django,
)

import postgres
from pooler import start_pgbouncer

TOKENS = 10_000
SIZES = (1_000, 100_000, 1_000_000, 10_000_000)
CLIENTS = (1, 4, 16, 64, 256, 1_024)
# By so many it gets the most.
PGBENCH = 16
# The machine is not as fast at all times: what is compared is measured in shorter and more rounds.
PARTS = 3
OPERATIONS = ALONE | {"OPERATIONS_BIND": "127.0.0.1:0"}
NGINX = """daemon off;
pid nginx.pid;
error_log nginx_error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream service {{ {servers} keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host localhost;
        }}
    }}
}}
"""


def filled(work: Bench, pair: Pair, sizes: Sequence[int]) -> dict[int, str]:
    """A database for each number of tokens."""
    urls = {}
    for size in sizes:
        urls[size] = work.migrated_url(pair, "postgres")
        began = time.perf_counter()
        fill(urls[size], 1, size)
        print(f"{size:,} users and tokens in {time.perf_counter() - began:.0f} s", flush=True)
    return urls


def filled_sqlite(work: Bench, pair: Pair, tokens: int) -> str:
    """The same rows in SQLite."""
    url = work.migrated_url(pair, "sqlite")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        numbers = (
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {tokens}) SELECT i FROM n"
        )
        connection.execute(f"CREATE TEMP TABLE numbers AS {numbers}")
        connection.execute(
            "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email,"
            " is_staff, is_active, date_joined)"
            " SELECT i, '!', 0, 'user' || i, '', '', '', 0, 1, '2026-01-01' FROM numbers"
        )
        key = KEY.replace("lpad((i::bigint", "printf('%040d', i").replace(")::text, 40, '0')", ")")
        connection.execute(f"INSERT INTO authtoken_token SELECT {key}, '2026-01-01', i FROM numbers")
    return url


def many(clients: int) -> str:
    """In words."""
    return f"{clients:,} client{'s' * (clients > 1)}"


def lookups(service: Service) -> tuple[float, float]:
    """How many tokens the service has looked up, and in how many statements."""
    with urllib.request.urlopen(f"{service.operations().base}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    keys, statements = (
        float(text.split(f"\ndrf_authtoken_lookup_keys_{part} ")[1].split()[0]) for part in ("sum", "count")
    )
    return keys, statements


def shared(service: Service, server: int, clients: int, seconds: float, asked: Asked) -> dict[str, Any]:
    """What is measured, and how many tokens shared a statement."""
    before = lookups(service)
    found = measured(service, server, clients, seconds, asked)
    keys, statements = (now - then for now, then in zip(lookups(service), before, strict=True))
    return found | {"shared": keys / max(1, statements)}


def by_size(
    work: Bench, pair: Pair, urls: dict[int, str], seconds: float, rounds: int, parts: int
) -> Figures:
    """As many different tokens of each table, taken evenly from all of it, so that only the table grows: by
    one client, each of whose checks is a SELECT of its own, and by 64; and the same look-ups by pgbench.

    How a check's CPU grows is told beside that of the smallest table in the same round; a round is in parts,
    which are shorter.
    """
    different = min(urls)
    server = work.cluster.process.child.pid
    services = {size: start_binary(pair, url, OPERATIONS, work.log("ours")) for size, url in urls.items()}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        f"{size:,} tokens, {many(clients)}": functools.partial(
            shared, service, server, clients, seconds / parts, Asked(size, different=different)
        )
        for clients in (1, 64)
        for size, service in services.items()
    }
    runs |= {
        f"{size:,} tokens, pgbench": functools.partial(
            pgbench, url, server, PGBENCH, seconds, Asked(size, different=different), work.folder
        )
        for size, url in urls.items()
    }
    try:
        # Once before it counts: the pages that are asked for are in memory then.
        in_rounds(runs, 1)
        found = in_rounds(runs, rounds * parts)
    finally:
        for service in services.values():
            service.stop()
    for name, figures in found.items():
        smallest = found[f"{different:,} tokens, {name.split(', ')[-1]}"]
        for one, first in zip(figures, smallest, strict=True):
            one["growth"] = cpu(one) / cpu(first)
    return medians(found)


def cpu(one: dict[str, Any]) -> float:
    """What a check took, of the service and of PostgreSQL."""
    return float(one.get("cpu", 0) + one["postgres_cpu"])


def by_clients(
    work: Bench, pair: Pair, url: str, counts: Sequence[int], seconds: float, rounds: int
) -> Figures:
    """More and more clients, each number of a service of its own, whose memory is what they need."""
    server = work.cluster.process.child.pid
    services = {clients: start_binary(pair, url, OPERATIONS, work.log("ours")) for clients in counts}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        many(clients): functools.partial(shared, service, server, clients, seconds, Asked(TOKENS))
        for clients, service in services.items()
    }
    try:
        return alternating(runs, rounds)
    finally:
        for service in services.values():
            service.stop()


def start_nginx(work: Bench, replicas: Sequence[Service]) -> Service:
    """nginx with connections kept to the replicas."""
    port, folder = free_port(), work.folder / work.name("nginx")
    folder.mkdir(mode=0o777)
    servers = " ".join(f"server 127.0.0.1:{replica.address[1]};" for replica in replicas)
    (folder / "nginx.conf").write_text(NGINX.format(servers=servers, port=port))
    process = Process(["nginx", "-p", folder, "-c", folder / "nginx.conf"], log=work.log("nginx"))
    process.wait_for_port(("127.0.0.1", port))
    return Service(process, ("127.0.0.1", port))


def by_layout(work: Bench, pair: Pair, url: str, seconds: float, rounds: int) -> Figures:
    """64 clients of one service by itself, on two threads, behind nginx, of two behind it, through PgBouncer,
    and on SQLite in both of its journal modes, with DRF beside it."""
    server, asked = work.cluster.process.child.pid, Asked(TOKENS)
    one, two = (start_binary(pair, url, ALONE, work.log("ours")) for _ in range(2))
    bouncer, through = start_pgbouncer(work, url, {"pool_mode": "session"})
    pooled = start_binary(pair, through, ALONE, work.log("ours"))
    threads = start_binary(pair, url, {"REQUEST_THREADS": 2}, work.log("ours"))
    file, logged = (filled_sqlite(work, pair, TOKENS) for _ in range(2))
    with sqlite3.connect(logged.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    sqlite, ahead = (start_binary(pair, one, ALONE, work.log("ours")) for one in (file, logged))
    drf = start_django(pair, file, {}, work.log("drf"))
    before_one, before_two = start_nginx(work, [one]), start_nginx(work, [one, two])
    layouts = {
        "one service": (one, ()),
        "one service, 2 threads": (threads, ()),
        "one behind nginx": (before_one, (one,)),
        "two behind nginx": (before_two, (one, two)),
        "through PgBouncer": (pooled, ()),
        "SQLite": (sqlite, ()),
        "SQLite, write-ahead log": (ahead, ()),
        "SQLite, DRF": (drf, ()),
    }
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        name: functools.partial(measured, front, server, 64, seconds, asked, behind)
        for name, (front, behind) in layouts.items()
    }
    figures = alternating(runs, rounds)
    figures["one service"]["connections"] = connections(one, work.cluster.port)
    for service in (before_one, before_two, one, two, threads, pooled, bouncer, sqlite, ahead, drf):
        service.stop()
    return figures


def text(found: dict[str, Any]) -> str:
    """The figures for the README."""
    figures: Figures = found["figures"]
    lines = [
        "| | req/s | p50 / p99 ms | tokens a SELECT | µs of the service / of PostgreSQL "
        "| x of the smallest table | RSS MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in figures.items():
        each = f"{one['shared']:.1f}" if "shared" in one else ""
        growth = f"{one['growth']:.2f}" if "growth" in one else ""
        if "cpu" not in one:
            lines.append(f"| {name} | {one['rate']:,.0f} | | 1.0 | {one['postgres_cpu']:.1f} | {growth} | |")
            continue
        lines.append(
            f"| {name} | {one['rate']:,.0f} | {one['p50']:.2f} / {one['p99']:.2f} | {each} "
            f"| {one['cpu']:.1f} / {one['postgres_cpu']:.1f} | {growth} | {one['rss']:.0f} |"
        )
    return "\n".join([*lines, "", f"Measured on {found['when']}."])


def draw(found: dict[str, Any], file: Path) -> None:
    """What a check costs by the number of tokens."""
    figures: Figures = found["figures"]
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    axes = pyplot.subplots(figsize=(6, 3.5))[1]
    for clients, style in ((1, "o-"), (64, "o--")):
        told = f" tokens, {many(clients)}"
        rows = {name.removesuffix(told): one for name, one in figures.items() if name.endswith(told)}
        tokens = [int(size.replace(",", "")) for size in rows]
        for part, label, color in (("cpu", "this service", "C0"), ("postgres_cpu", "PostgreSQL", "C1")):
            costs = [one[part] for one in rows.values()]
            axes.plot(tokens, costs, style, color=color, label=f"{label}, {many(clients)}")
    axes.set(
        xscale="log",
        ylim=(0, None),
        xlabel="tokens in the table",
        ylabel="µs of CPU a check",
        title="2 cores",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    axes.figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measures, prints, writes."""
    options = arguments(__doc__, 3.0).parse_args()
    sizes, counts = (SIZES[:1], CLIENTS[1:2]) if options.tiny else (SIZES, CLIENTS)
    seconds, rounds = (1.0, 1) if options.tiny else (options.seconds, options.rounds)
    # Ten million tokens have a gigabyte of index.
    postgres.QUICK["shared_buffers"] = "64MB" if options.tiny else "1GB"
    with tempfile.TemporaryDirectory() as folder:
        work = Bench(Path(folder))
        try:
            pair = pairs()[0]
            parts = 1 if options.tiny else PARTS
            figures = by_size(work, pair, filled(work, pair, sizes), seconds, rounds, parts)
            (url,) = filled(work, pair, [TOKENS]).values()
            figures |= by_clients(work, pair, url, counts, seconds, rounds)
            figures |= by_layout(work, pair, url, seconds, rounds)
        finally:
            work.stop()
    publish("growth", {"figures": figures}, text, draw, options)


if __name__ == "__main__":
    main()
