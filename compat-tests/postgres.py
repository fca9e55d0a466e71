"""A throw-away PostgreSQL cluster: made, used and removed within one run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from processes import Process, StartError, free_port

# Nothing of this survives the run, so nothing has to survive a power cut.
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "600",
    "shared_buffers": "64MB",
    "log_line_prefix": "<%d> ",
    "lc_messages": "C",
}


def binaries() -> Path:
    """The folder of initdb and postgres: PG_BINDIR, PATH, or Debian's own place (newest first)."""
    candidates = [Path(os.environ["PG_BINDIR"])] if "PG_BINDIR" in os.environ else []
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists():
            return folder
    raise StartError("PostgreSQL's initdb was not found: install it, or set PG_BINDIR")


class Cluster:
    """A running server whose only user is `postgres`, without a password, on a free port.

    `further` are settings of its own: `synchronous_commit`, say, where a commit is to outlive a crash.
    """

    def __init__(self, folder: Path, **further: str) -> None:
        self.further = further
        self.bin = binaries()
        self.data = folder / "postgres"
        self.data.mkdir(0o700)
        # initdb refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.data, account.pw_uid, account.pw_gid)
        self._initdb()
        self.port = free_port()
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Starts the server, on the same port and with the same rows each time; each has its own log."""
        self.starts += 1
        self.process = Process(
            [self.bin / "postgres", "-D", self.data, *self._options()],
            log=self.data.with_name(f"postgres_{self.starts}.log"),
            cwd=self.data,
            user=self.user,
        )
        self.process.wait_for_port(("127.0.0.1", self.port))
        self.process.wait_for("ready to accept (read-only )?connections")
        self.admin = psycopg.connect(self.dsn("postgres"), autocommit=True)

    def _initdb(self) -> None:
        self._make("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")

    def _make(self, program: str, *argv: str) -> None:
        made = subprocess.run(
            [self.bin / program, "--no-sync", *argv, "-D", self.data],
            user=self.user,
            cwd=self.data,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise StartError(f"{program} failed:\n{made.stderr}")

    def _options(self) -> list[str]:
        own = {"port": str(self.port), "listen_addresses": "127.0.0.1"}
        own["unix_socket_directories"] = str(self.data)
        return [
            part for key, value in (QUICK | own | self.further).items() for part in ("-c", f"{key}={value}")
        ]

    def dsn(self, name: str) -> str:
        """The URL of a database of this cluster."""
        return f"postgres://postgres:unused@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, template: str | None = None) -> str:
        """Makes a database (a copy of the template where one is given) and answers its URL."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self.admin.execute(statement)
        return self.dsn(name)

    def drop(self, name: str) -> None:
        """Removes a database, also from under those who still use it."""
        self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def log_statements(self, name: str) -> None:
        """From the next connection on, every statement in this database stands in the log."""
        self.admin.execute(
            sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(sql.Identifier(name))
        )

    def stop(self, by: signal.Signals = signal.SIGQUIT) -> None:
        """Stops the server and cuts off its clients; by SIGQUIT, unless it is to start again quickly."""
        self.admin.close()
        self.process.stop(by)


class Standby(Cluster):
    """A streaming replica of a running cluster, of all its databases."""

    def __init__(self, primary: Cluster, folder: Path, **further: str) -> None:
        self.primary = primary
        folder.mkdir()
        folder.chmod(0o711)
        super().__init__(folder, **further)

    def _initdb(self) -> None:
        source = ["--host=127.0.0.1", f"--port={self.primary.port}", "--username=postgres"]
        self._make("pg_basebackup", *source, "--write-recovery-conf", "--checkpoint=fast")

    def catch_up(self, timeout: float = 60.0) -> None:
        """Waits until it has replayed what the primary has done by now."""
        # A commit, for what is not on the disk is not sent; and its own place: that of the next record may be
        # behind a page's head, which is written with that record only, up to 15 seconds later.
        mark = "SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, '', '')"
        row = self.primary.admin.execute(mark).fetchone()
        assert row
        end = time.monotonic() + timeout
        while self.admin.execute("SELECT pg_last_wal_replay_lsn() >= %s", row[1:]).fetchone() != (True,):
            assert time.monotonic() < end, self.process.log_text()[-3000:]
            time.sleep(0.001)

    def pause(self) -> None:
        """Replays nothing more; returns when it has stopped to."""
        self.admin.execute("SELECT pg_wal_replay_pause()")
        state, end = "SELECT pg_get_wal_replay_pause_state()", time.monotonic() + 60
        while self.admin.execute(state).fetchone() != ("paused",):
            assert time.monotonic() < end, self.process.log_text()[-3000:]
            time.sleep(0.001)

    def resume(self) -> None:
        """Replays again, and waits until all is replayed."""
        self.admin.execute("SELECT pg_wal_replay_resume()")
        self.catch_up()
