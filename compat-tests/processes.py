"""Child processes that are known to be ready when we use them and gone when we end."""

from __future__ import annotations

import atexit
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

RUNNING: list[Process] = []


class StartError(Exception):
    """A service did not come up; the text holds the end of its log."""


def allow_descriptors() -> None:
    """As many as this process may have: each client is one, here and in what is started from here."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def handing_over(listen: socket.socket | None) -> list[str]:
    """What stands before a command that takes over a listening socket, as systemd does it."""
    if listen is None:
        return []
    hand_over = "import os, sys; os.dup2(int(sys.argv[1]), 3);"
    hand_over += (
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", hand_over, str(listen.fileno())]


class Process:
    """A service with its log in a file; `listen` is a socket that it takes over."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        listen: socket.socket | None = None,
    ) -> None:
        self.log = log
        self.name = Path(argv[0]).name
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [*handing_over(listen), *(str(part) for part in argv)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                user=user,
                pass_fds=(listen.fileno(),) if listen else (),
                start_new_session=True,
            )
        RUNNING.append(self)

    def log_text(self) -> str:
        """All that it has said so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Waits until the log shows the pattern."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            match = re.search(pattern, self.log_text())
            if match:
                return match
            if self.child.poll() is not None:
                break
            time.sleep(0.01)
        raise StartError(f"{self.name}: no {pattern!r} in its log:\n{self.log_text()[-3000:]}")

    def wait_for_port(self, address: tuple[str, int], timeout: float = 60.0) -> None:
        """Waits until a connection is accepted."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.child.poll() is None:
            try:
                socket.create_connection(address, timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise StartError(f"{self.name} does not answer at {address}:\n{self.log_text()[-3000:]}")

    def stop(self, by: signal.Signals = signal.SIGTERM, grace: float = 20.0) -> int:
        """Ends it and says its exit code; kills it where it does not end in time."""
        if self.child.poll() is None:
            self.child.send_signal(by)
            try:
                self.child.wait(grace)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self in RUNNING:
            RUNNING.remove(self)
        return self.child.returncode


@atexit.register
def stop_all() -> None:
    """Nothing outlives the run, whatever went wrong in it; last started, first stopped."""
    for process in reversed(list(RUNNING)):
        process.stop(grace=5)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
