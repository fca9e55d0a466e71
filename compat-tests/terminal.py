"""Commands at a terminal: what is typed, what is shown, what is not."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Terminal:
    """A command whose standard streams are a terminal of our own."""

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.shown = ""
        self.read_up_to = 0
        self.fd, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [str(part) for part in argv],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env=dict(env), cwd=cwd, start_new_session=True,
            preexec_fn=make_controlling,
        )  # fmt: skip
        os.close(theirs)

    def answer(self, prompt: str, text: str, *, hidden: bool = False, timeout: float = 30.0) -> None:
        """Waits for the prompt behind all that was answered before, then types.

        With `hidden` it waits, as a human does anyway, until the terminal no longer shows what is typed.
        """
        end = time.monotonic() + timeout
        while prompt not in self.shown[self.read_up_to :]:
            if not self._read(end):
                raise AssertionError(f"no {prompt!r} on the terminal: {self.shown!r}")
        self.read_up_to = self.shown.index(prompt, self.read_up_to) + len(prompt)
        while hidden and termios.tcgetattr(self.fd)[3] & termios.ECHO:
            assert time.monotonic() < end, f"{prompt!r} shows what is typed"
            time.sleep(0.001)
        os.write(self.fd, f"{text}\n".encode())

    def end(self, timeout: float = 60.0) -> tuple[int, str]:
        """The exit code, and all that was shown."""
        end = time.monotonic() + timeout
        while self._read(end):
            pass
        os.close(self.fd)
        return self.child.wait(timeout), self.shown.replace("\r\n", "\n")

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # Linux says so when the other end is closed.
            return False
        self.shown += data.decode()
        return bool(data)


def make_controlling() -> None:
    """Makes standard input the terminal that /dev/tty stands for; getpass asks there."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
