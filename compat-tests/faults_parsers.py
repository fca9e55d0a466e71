"""libFuzzer looks for inputs by the coverage of each parser; `fuzz/parsers.rs` judges what is made of them.

What it has found stands in `fuzz/corpus`, an input a line, as JSON strings of one sign a byte. The short form
begins there and makes so many runs; the long one begins with the requests of all cases too, takes an hour for
each parser, and keeps what it has found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cases
from faults import Finding, Stage
from services import PROJECT

FUZZ = PROJECT / "compat-tests/fuzz"
CORPUS = FUZZ / "corpus"
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
RUNS = 8_000
HOUR = 3600
# Of each parser the shortest inputs are kept, of so many bytes in all.
KEPT = 20_000
LONGEST = 4096


@dataclass(frozen=True)
class Run:
    """What became of a run of the fuzzer."""

    runs: int
    seconds: int
    edges: int
    # The input that it fell over, and what it said.
    crash: bytes | None
    said: str


def build() -> Path:
    """The fuzzer. Its flags are those of stable Rust, and the dependencies those of the ordinary build."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    env = os.environ | {"RUSTC_WORKSPACE_WRAPPER": str(FUZZ / "rustc")}
    argv = ["cargo", "build", "--locked", "--quiet", "--package", "drf-authtoken-fuzz"]
    subprocess.run(argv, cwd=PROJECT, env=env, check=True)
    return target / "debug/parsers"


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
    limit: str,
    keeps: bool = False,
    seconds: float | None = None,
) -> tuple[Run, list[bytes]]:
    """A run up to the limit, an option of libFuzzer's, and on demand the inputs that are worth keeping."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{parser}-") as name:
        folder = Path(name)
        found, small = folder / "found", folder / "small"
        found.mkdir()
        small.mkdir()
        known = unpack(begin, folder / "known")
        argv = [str(binary), limit, "-seed=1", f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=1024"]
        env = os.environ | {"PARSER": parser}
        done = subprocess.run(
            [*argv, f"-artifact_prefix={folder}/", str(found), str(known)],
            env=env,
            capture_output=True,
            check=False,
            timeout=seconds,
        )
        said = done.stderr.decode(errors="replace")
        spoilt = [
            path
            for kind in ("crash", "timeout", "oom", "slow-unit", "leak")
            for path in folder.glob(f"{kind}-*")
        ]
        crash = spoilt[0].read_bytes() if spoilt else None
        if crash is None:
            assert done.returncode == 0, said[-2000:]
        total = re.search(r"Done (\d+) runs in (\d+) second", said)
        edges = [int(edge) for edge in re.findall(r" cov: (\d+) ", said)]
        runs, seconds = map(int, total.groups()) if total else (0, 0)
        run = Run(runs, seconds, max(edges, default=0), crash, said)
        if keeps and crash is None:
            merge = [str(binary), "-merge=1", str(small), str(found), str(known)]
            subprocess.run(merge, env=env, capture_output=True, check=True)
        return run, [path.read_bytes() for path in small.iterdir()]


def measure(stage: Stage) -> list[Finding]:
    """Each parser in its turn."""
    claim = "Inputs that are found by the coverage of each parser: no panic, and what must hold does"
    limit, length = f"-runs={RUNS}", f"{RUNS:,} runs each"
    if stage.long:
        seconds = stage.seconds or HOUR
        limit, length = f"-max_total_time={seconds}", f"{seconds} s each"
    how = f"libFuzzer on {len(PARSERS)} parsers, {length}; `compat-tests/fuzz`"
    if not stage.is_ours:
        return [Finding(claim, how, "not measured: it has other parsers")]
    binary, against, runs, edges, inputs = build(), [], 0, 0, 0
    for parser in PARSERS:
        begin = [*kept(parser), *(seeds(parser) if stage.long else ())]
        run, found = fuzz(binary, parser, begin, limit, stage.long)
        if run.crash is not None:
            against.append(f"{parser}: {run.crash!r}: {run.said[-600:]}")
        elif run.runs < len(begin) or run.edges < 20:
            against.append(f"{parser}: nothing was proved: {run.said[-600:]}")
        if stage.long and run.crash is None:
            keep(parser, found)
            print(f"{parser}: {run.runs:,} runs, {run.edges} edges, {len(found)} inputs")
        runs, edges, inputs = runs + run.runs, edges + run.edges, inputs + len(begin)
    figure = f"{runs:,} runs from {inputs:,} inputs, {edges:,} edges reached, {len(against)} faults"
    return [Finding(claim, how, figure, against)]
