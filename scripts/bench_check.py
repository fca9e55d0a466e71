"""Token checks side by side: bare poem, this service, DRF, FastAPI, and PostgreSQL by itself.

All answer from the same rows and take turns in every round. Client, service and database share the machine.
Nothing here is a test, and nothing fails on a figure: it tells them.
"""

from __future__ import annotations

import functools
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_load import (
    Asked,
    Bench,
    Service,
    arguments,
    connections,
    fill,
    measured,
    pairs,
    pgbench,
    publish,
    start_binary,
    start_drf,
    start_fastapi,
    start_hello,
)

CLIENTS = (1, 16, 64, 256)
PGBENCH_CLIENTS = (1, 2, 4, 16, 64)
TOKENS = 10_000
NAMES = {
    "hello": "poem, a constant",
    "ours": "this service",
    "drf": "Django REST framework",
    "fastapi": "FastAPI, asyncpg",
    "pgbench": "pgbench, prepared",
}
Figures = dict[str, dict[str, Any]]


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Each figure by itself, over the rounds."""
    return {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}


def in_rounds(runs: dict[str, Callable[[], dict[str, Any]]], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """All of them once in every round, so that a busy moment of the machine, or hour, meets all."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def medians(found: dict[str, list[dict[str, Any]]]) -> Figures:
    """Of each, told."""
    figures = {name: median(rounds) for name, rounds in found.items()}
    for name, figure in figures.items():
        print(f"{name:24} {json.dumps(figure)}", flush=True)
    return figures


def alternating(runs: dict[str, Callable[[], dict[str, Any]]], rounds: int) -> Figures:
    """The medians of so many rounds."""
    return medians(in_rounds(runs, rounds))


def checks(
    work: Bench,
    url: str,
    peers: dict[str, Service],
    ours: dict[int, Service],
    seconds: float,
    rounds: int,
) -> Figures:
    """Every peer at every number of clients, and the tokens that are not good; of ours one for each number of
    clients, whose memory is what they need."""

    def run(service: Service, clients: int, kind: str = "good") -> Callable[[], dict[str, Any]]:
        postgres = work.cluster.process.child.pid
        return functools.partial(measured, service, postgres, clients, seconds, Asked(TOKENS, kind))

    runs: dict[str, Callable[[], dict[str, Any]]] = {}
    for clients, service in ours.items():
        runs |= {f"{name} {clients}": run(peer, clients) for name, peer in peers.items()}
        runs[f"ours {clients}"] = run(service, clients)
    for clients in sorted({*PGBENCH_CLIENTS} if len(ours) > 2 else {*ours}):
        runs[f"pgbench {clients}"] = functools.partial(
            pgbench, url, work.cluster.process.child.pid, clients, seconds, Asked(TOKENS), work.folder
        )
    for kind in ("unknown", "missing"):
        runs |= {f"ours {kind}": run(ours[64], 64, kind), f"drf {kind}": run(peers["drf"], 64, kind)}
    return alternating(runs, rounds)


def best_pgbench(figures: Figures) -> float:
    """The most that pgbench got at any number of clients."""
    return max(figure["rate"] for name, figure in figures.items() if name.startswith("pgbench "))


def ratios(figures: Figures) -> dict[str, float]:
    """What the figures come to."""
    found = {}
    for clients in clients_of(figures):
        ours, drf = figures[f"ours {clients}"], figures[f"drf {clients}"]
        found[f"x DRF at {clients}"] = ours["rate"] / drf["rate"]
        found[f"x FastAPI at {clients}"] = ours["rate"] / figures[f"fastapi {clients}"]["rate"]
        found[f"of bare poem at {clients}"] = ours["rate"] / figures[f"hello {clients}"]["rate"]
        found[f"x pgbench's best at {clients}"] = ours["rate"] / best_pgbench(figures)
        found[f"DRF's p99 / ours at {clients}"] = drf["p99"] / ours["p99"]
    return found


def ratios_table(found: dict[str, float]) -> str:
    """By the number of clients."""
    kinds = list(dict.fromkeys(name.rpartition(" at ")[0] for name in found))
    lines = [f"| clients | {' | '.join(kinds)} |", "|" + "---|" * (1 + len(kinds))]
    for clients in dict.fromkeys(name.rpartition(" at ")[2] for name in found):
        cells = [f"{found[f'{kind} at {clients}']:.2f}" for kind in kinds]
        lines.append(f"| {clients} | {' | '.join(cells)} |")
    return "\n".join(lines)


def clients_of(figures: Figures) -> list[int]:
    """The numbers of clients that were measured."""
    return [clients for clients in CLIENTS if f"ours {clients}" in figures]


def table(figures: Figures) -> str:
    """The figures for the README."""
    head = ["clients", *(f"{NAMES[name]}, req/s" for name in NAMES), "x DRF", "p50 / p99 ms", "DRF's"]
    head += ["µs of ours / of PostgreSQL", "DRF's", "RSS MB", "DRF's"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for clients in clients_of(figures):
        ours, drf = figures[f"ours {clients}"], figures[f"drf {clients}"]
        rates = [figures.get(f"{name} {clients}", {}).get("rate") for name in NAMES]
        cells = [str(clients), *("" if rate is None else f"{rate:,.0f}" for rate in rates)]
        cells.append(f"**{ours['rate'] / drf['rate']:.1f}**")
        cells += [f"{one['p50']:.2f} / {one['p99']:.2f}" for one in (ours, drf)]
        cells += [f"{one['cpu']:.0f} / {one['postgres_cpu']:.0f}" for one in (ours, drf)]
        cells += [f"{one['rss']:.0f}" for one in (ours, drf)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def others_table(figures: Figures) -> str:
    """Tokens that are not good, at 64 clients."""
    lines = [
        "| token | this service, req/s | DRF | ratio | µs of ours / of PostgreSQL |",
        "|---|---|---|---|---|",
    ]
    for kind in ("unknown", "missing"):
        ours, drf = figures[f"ours {kind}"], figures[f"drf {kind}"]
        lines.append(
            f"| {kind} | {ours['rate']:,.0f} | {drf['rate']:,.0f} | {ours['rate'] / drf['rate']:.1f} "
            f"| {ours['cpu']:.0f} / {ours['postgres_cpu']:.0f} |"
        )
    return "\n".join(lines)


def text(found: dict[str, Any]) -> str:
    """What README has of it."""
    figures, held = found["figures"], found["connections"]
    rates = [figures[name]["rate"] for name in figures if name.startswith("pgbench ")]
    counts = [f"{NAMES[name]} {number}" for name, number in held.items() if number]
    told = f"Measured on {found['when']}. pgbench's best by any number of clients: {max(rates):,.0f} req/s. "
    told += f"Connections to PostgreSQL at the end: {', '.join(counts)}."
    parts = (table(figures), ratios_table(found["ratios"]), others_table(figures), told)
    return "\n\n".join(parts)


def draw(found: dict[str, Any], file: Path) -> None:
    """Requests a second over the number of clients."""
    figures = found["figures"]
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    axes = pyplot.subplots(figsize=(7, 4))[1]
    for name, label in NAMES.items():
        points = [
            (c, figures[f"{name} {c}"]["rate"])
            for c in sorted({*CLIENTS, *PGBENCH_CLIENTS})
            if f"{name} {c}" in figures
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="clients",
        ylabel="requests a second",
        title="GET /secret/, 10,000 tokens, 2 cores",
    )
    axes.set_xticks(CLIENTS, [str(clients) for clients in CLIENTS])
    axes.grid(alpha=0.3)
    axes.legend()
    axes.figure.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measures, prints, writes."""
    options = arguments(__doc__, 3.0).parse_args()
    if options.tiny:
        options.seconds, options.rounds = 1.0, 1
    counts = CLIENTS[1:3] if options.tiny else CLIENTS
    with tempfile.TemporaryDirectory() as folder:
        work = Bench(Path(folder))
        try:
            pair = pairs()[0]
            url = work.migrated_url(pair, "postgres")
            fill(url, 1, TOKENS)
            ours = {clients: start_binary(pair, url, {}, work.log("ours")) for clients in counts}
            peers = {"hello": start_hello(work)}
            peers |= {"drf": start_drf(work, pair, url), "fastapi": start_fastapi(work, url)}
            figures = checks(work, url, peers, ours, options.seconds, options.rounds)
            held = {
                name: connections(one, work.cluster.port) for name, one in {"ours": ours[64], **peers}.items()
            }
        finally:
            work.stop()
    found = {"figures": figures, "ratios": ratios(figures), "connections": held}
    publish("check", found, text, draw, options)


if __name__ == "__main__":
    main()
