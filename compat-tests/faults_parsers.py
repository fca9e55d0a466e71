"""libFuzzer looks for inputs by the coverage of each parser; `fuzz/parsers.rs` judges what is made of them.

What it has found stands in `fuzz/corpus`, an input a line, as JSON strings of one sign a byte. The short form
begins there and takes a minute for all at once. The long one begins with the requests of all cases too, goes
on until each parser has had an hour of a core in all long runs so far (`fuzz/spent.json`), and keeps what it
has found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cases
from faults import Finding, Stage
from services import PROJECT

FUZZ = PROJECT / "compat-tests/fuzz"
CORPUS = FUZZ / "corpus"
# Seconds of a core that the long form has given each parser so far.
SPENT = FUZZ / "spent.json"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
PARSERS = (
    "hash",
    "authorization",
    "querydict",
    "multipart",
    "json",
    "charset",
    "host",
    "accept",
    "content_type",
    "cookie",
)
MINUTE, HOUR = 60, 3600
# Of each parser the shortest inputs are kept, of so many bytes in all.
KEPT = 40_000
LONGEST = 4096
RUNNING: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Run:
    """What became of a run of the fuzzer."""

    runs: int
    # Of a core.
    seconds: float
    edges: int
    # The input that it fell over, and what it said.
    crash: bytes | None
    said: str


def build() -> Path:
    """The fuzzer. Its flags are those of stable Rust, and the dependencies those of the ordinary build."""
    env = os.environ | {"RUSTC_WORKSPACE_WRAPPER": str(FUZZ / "rustc")}
    argv = ["cargo", "build", "--locked", "--quiet", "--package", "drf-authtoken-fuzz"]
    subprocess.run(argv, cwd=PROJECT, env=env, check=True)
    return TARGET / "debug/parsers"


def kept(parser: str) -> list[bytes]:
    """The inputs that are kept of a parser."""
    path = CORPUS / f"{parser}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line).encode("latin-1") for line in lines]


def keep(parser: str, inputs: Iterable[bytes]) -> None:
    """Writes the shortest of them."""
    lines, size = [], 0
    for one in sorted(set(inputs), key=lambda one: (len(one), one)):
        line = json.dumps(one.decode("latin-1")) + "\n"
        size += len(line)
        if size > KEPT:
            break
        lines.append(line)
    (CORPUS / f"{parser}.txt").write_text("".join(lines))


def seeds(parser: str) -> Iterator[bytes]:
    """What the requests and users of the cases have for that parser."""
    for case in cases.load():
        head, _, body = case.request.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        pairs = [
            (name.strip().lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)
        ]

        def values(name: bytes, pairs: list[tuple[bytes, bytes]] = pairs) -> list[bytes]:
            return [value for known, value in pairs if known == name]

        content_type = (values(b"content-type") or [b""])[0]
        match parser:
            case "hash":
                yield from (user.encoded.encode() for user in case.users)
            case "querydict":
                yield content_type + b"\n" + line.partition(b"?")[2].rpartition(b" ")[0]
                yield content_type + b"\n" + body
            case "multipart" | "json":
                yield content_type + b"\n" + body
            case "charset":
                yield content_type.rpartition(b"charset=")[2] + b"\n" + body
            case "host":
                yield from [*values(b"host"), *values(b"x-forwarded-host")]
            case _:
                name = parser.replace("_", "-").encode()
                yield b"\n".join(values(name))
                yield from values(name)


def unpack(inputs: Iterable[bytes], folder: Path) -> Path:
    """A file of each of them."""
    folder.mkdir()
    for number, one in enumerate(inputs):
        (folder / f"{number}").write_bytes(one)
    return folder


def fuzz(
    binary: Path,
    parser: str,
    begin: Iterable[bytes],
    seconds: float,
    *limits: str,
    found: Path | None = None,
) -> tuple[Run, list[bytes]]:
    """A run for so long, with options of libFuzzer's. What is in the folder `found` it goes on with, adds to,
    and answers, as far as it is worth keeping."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{parser}-") as name:
        folder = Path(name)
        known, new, small, log = (folder / part for part in ("known", "new", "small", "log"))
        unpack(begin, known)
        for one in (new, small):
            one.mkdir()
        corpus = [str(found or new), str(known)]
        # It looks at the time between two inputs only.
        argv = ["timeout", f"{seconds + 60:.0f}", str(binary), *limits, f"-max_total_time={seconds:.0f}"]
        argv += [f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=1024", f"-artifact_prefix={folder}/"]
        env = os.environ | {"PARSER": parser}
        with log.open("wb") as out:
            process = subprocess.Popen([*argv, *corpus], env=env, stdout=out, stderr=out)
            RUNNING.append(process)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            RUNNING.remove(process)
        said = log.read_text(errors="replace")
        spoilt = [
            path
            for kind in ("crash", "timeout", "oom", "slow-unit", "leak")
            for path in folder.glob(f"{kind}-*")
        ]
        crash = spoilt[0].read_bytes() if spoilt else None
        if crash is None:
            assert process.returncode == 0, said[-2000:]
        total = re.search(r"Done (\d+) runs in", said)
        edges = [int(edge) for edge in re.findall(r" cov: (\d+) ", said)]
        runs = int(total[1]) if total else 0
        run = Run(runs, used.ru_utime + used.ru_stime, max(edges, default=0), crash, said)
        if found and crash is None:
            merge = [str(binary), "-merge=1", str(small), *corpus]
            subprocess.run(merge, env=env, capture_output=True, check=True, timeout=600)
        return run, [path.read_bytes() for path in small.iterdir()]


class Session:
    """Runs of the parsers, several at the same time."""

    def __init__(self, long: bool, seconds: int | None) -> None:
        self.binary, self.long, self.seconds = build(), long, seconds
        self.lock = threading.Lock()

    def spent(self) -> dict[str, int]:
        """The seconds of a core that each parser has had."""
        with self.lock:
            return dict(json.loads(SPENT.read_text()))

    def spend(self, parser: str, seconds: float) -> None:
        """Adds to them."""
        with self.lock:
            known = json.loads(SPENT.read_text())
            known[parser] += round(seconds)
            aside = SPENT.with_suffix(".new")
            aside.write_text(json.dumps(known, indent=4) + "\n")
            aside.replace(SPENT)

    def run(self, parser: str) -> tuple[Run, int]:
        """One of them, and with how many inputs it began."""
        if not self.long:
            begin = kept(parser)
            run, _ = fuzz(self.binary, parser, begin, MINUTE, "-seed=1")
            return run, len(begin)
        run, inputs = self.at_length(parser, self.seconds or MINUTE)
        # By the clock it may take longer.
        while not self.seconds and run.crash is None and (rest := HOUR - self.spent()[parser]) > 0:
            run, inputs = self.at_length(parser, max(rest, MINUTE))
        return run, inputs

    def at_length(self, parser: str, seconds: int) -> tuple[Run, int]:
        """So many seconds, going on with what earlier runs on this machine have found."""
        begin = [*kept(parser), *seeds(parser)]
        found = TARGET / "fuzz" / parser
        found.mkdir(parents=True, exist_ok=True)
        seed = f"-seed={self.spent()[parser] + 1}"
        run, small = fuzz(self.binary, parser, begin, seconds, seed, found=found)
        if run.crash is None:
            keep(parser, small)
            self.spend(parser, run.seconds)
        told = f"{run.runs:,} runs in {run.seconds:.0f} s, {run.edges} edges, {len(small)} inputs"
        print(f"{parser}: {told}", flush=True)
        return run, len(begin)


def measure(stage: Stage) -> list[Finding]:
    """The short form all at once, the long one as many at a time as there are cores."""
    claim = "Inputs that are found by the coverage of each parser: no panic, and what must hold does"
    how, length = (
        f"libFuzzer on {len(PARSERS)} parsers{{}}; `compat-tests/fuzz`",
        f", {MINUTE} s of the clock for all at once",
    )
    if not stage.is_ours:
        return [Finding(claim, how.format(""), "not measured: it has other parsers")]
    session, against = Session(stage.long, stage.seconds), []
    with ThreadPoolExecutor(os.cpu_count() if stage.long else len(PARSERS)) as pool:
        try:
            done = list(pool.map(session.run, PARSERS))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                process.terminate()
    for parser, (run, inputs) in zip(PARSERS, done, strict=True):
        if run.crash is not None:
            against.append(f"{parser}: {run.crash!r}: {run.said[-600:]}")
        elif run.runs < inputs or run.edges < 20:
            against.append(f"{parser}: nothing was proved: {run.said[-600:]}")
    runs, edges = (sum(getattr(run, part) for run, _ in done) for part in ("runs", "edges"))
    inputs = sum(number for _, number in done)
    figure = f"{runs:,} runs from {inputs:,} inputs, {edges:,} edges reached, {len(against)} faults"
    if stage.long:
        length = f", {min(session.spent().values()) // MINUTE} min of a core each so far"
        figure = f"in the last run {figure}"
    return [Finding(claim, how.format(length), figure, against)]
