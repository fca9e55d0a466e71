"""PgBouncer between us and a database."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from bench import Bench
from processes import Process, free_port
from services import Service, program

CONFIGURATION = """[databases]
{name} = host=127.0.0.1 port={postgres} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
ignore_startup_parameters = extra_float_digits
{further}
"""


def version() -> str:
    """Which one it is."""
    done = subprocess.run([program("pgbouncer"), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def start_pgbouncer(bench: Bench, url: str, pool: Mapping[str, object]) -> tuple[Service, str]:
    """It, with these options of its pool, and the URL of the database through it."""
    port, name, folder = free_port(), url.rsplit("/", 1)[1], bench.folder / bench.name("pgbouncer")
    folder.mkdir()
    file = folder / "pgbouncer.ini"
    further = "\n".join(f"{key} = {value}" for key, value in pool.items())
    file.write_text(CONFIGURATION.format(name=name, postgres=bench.cluster.port, port=port, further=further))
    # It refuses root, like PostgreSQL.
    process = Process([program("pgbouncer"), file], log=bench.log("pgbouncer"), user=bench.cluster.user)
    process.wait_for_port(("127.0.0.1", port))
    return Service(process, ("127.0.0.1", port)), f"postgres://postgres:unused@127.0.0.1:{port}/{name}"
