"""What a database and the way to it can do to a service, one fault after the other on one running service."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from cases import SALT, pbkdf2
from clients import ALICE, SECRET, login_bytes
from databases import User
from faults import PASSWORD, Finding, Stage
from hole import Fault, Hole
from postgres import Cluster, Standby
from processes import StartError
from services import AS_ROOT, Service
from steady import Seen, Steady, slowest, statuses

TIMEOUT = 2
CONNECTIONS = 4
# Each has a connection for the look-ups of tokens.
THREADS = 2
# What a busy machine may add to a bounded wait.
SLACK = 1.5
RATE = 20
FRESH = 3000
OUTDATED = 3000
KINDS = ("token", "login", "outdated", "first")
# As long as a client of Django's waits for an answer that does not come.
PATIENCE = 10.0
# How many waits a request has: a token's look-up may stand behind another one, a login has four statements.
WAITS = {"token": 1, "login": 2, "outdated": 4, "first": 4}
# How many statements are answered one after the other before a 200.
STATEMENTS = {"token": 1, "login": 2, "outdated": 3, "first": 3}
ANY = {kind: {200, 503} for kind in KINDS}
ALL_WELL = {kind: {200} for kind in KINDS}
NONE = {kind: {503} for kind in KINDS}
# Look-ups of tokens are shared; of those who log in more come than there are connections for.
CROWDED = ANY | {"token": {200}}
READS = ALL_WELL | {"first": {503}}
# A write may still find room in a page that is not full.
NEARLY = ALL_WELL | {"first": {200, 503}}


@dataclass
class Site:
    """A database with users of each kind, and who uses it."""

    cluster: Cluster
    name: str
    hole: Hole
    start: Callable[[], Service]
    service: Service
    asked: int = 0

    def connect(self) -> psycopg.Connection:
        """A connection of somebody else's, past the hole."""
        return psycopg.connect(self.cluster.dsn(self.name), autocommit=True)

    def request(self, _: int) -> tuple[str, bytes]:
        """In turn: a token, a login, one whose hash is outdated, a first one; each user logs in but once."""
        turn, self.asked = divmod(self.asked, len(KINDS)), self.asked + 1
        kind = KINDS[turn[1]]
        if kind == "token":
            return kind, SECRET
        if kind == "login":
            return kind, login_bytes(ALICE)
        return kind, login_bytes(User(f"{kind}{turn[0]}", PASSWORD, ""))

    def backends(self, condition: str = "application_name <> 'others'") -> int:
        """Connections that the service has, or those of them of which that is true."""
        with self.connect() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'site' AND {condition}"
            ).fetchone()
        return int(row[0]) if row else 0

    def backends_at_rest(self) -> int:
        """The same when those that were given up have had a second to end."""
        end = time.monotonic() + 1
        while (found := self.backends()) > CONNECTIONS + THREADS and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def end_backends(self) -> int:
        """Terminates what serves them, and says how many there were."""
        with self.connect() as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'site'"
            )
            return sum(done for (done,) in ended)


# Whether the fault has really happened; asked while it lasts, after the load.
Happened = Callable[[], bool]


@dataclass(frozen=True)
class Trouble:
    """A fault, what may be answered while it lasts, and how long a recovery may take after it."""

    name: str
    during: Callable[[Site], AbstractContextManager[Happened]]
    expected: Mapping[str, set[int]]
    recovery: float = 1.0
    # No statement is answered sooner.
    latency: float = 0.0
    # Whether a 503 is of somebody who has waited until the timeout.
    waits: bool = False
    # So many log-ins a second succeed at least, in so many seconds at least.
    logins: float = 0.0
    seconds: float = 0.0


def broken(fault: Fault, what: str) -> Callable[[Site], AbstractContextManager[Happened]]:
    """A way to the database that has this fault; `what` is counted of those that it meets."""

    @contextmanager
    def during(site: Site) -> Iterator[Happened]:
        before = site.hole.done[what]
        site.hole.fault = fault
        yield lambda: site.hole.done[what] > before + CONNECTIONS
        site.hole.fault = None

    return during


@contextmanager
def silent(site: Site) -> Iterator[Happened]:
    before = site.hole.done["lost"]
    site.hole.shut()
    # A statement of each thread's look-ups, and one of the pool's at least.
    yield lambda: site.hole.done["lost"] > before + THREADS
    site.hole.open()
    # The server's side of those connections would notice by itself, but hours later.
    site.hole.forget()


@contextmanager
def sampled(sample: Callable[[], int], every: float = 0.2) -> Iterator[list[int]]:
    """What it says, time after time."""
    over, seen = threading.Event(), [0]

    def run() -> None:
        while not over.wait(every):
            seen.append(sample())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@contextmanager
def terminated(site: Site) -> Iterator[Happened]:
    """All of them, twice a second."""
    with sampled(site.end_backends, every=0.5) as ended:
        yield lambda: sum(ended) > CONNECTIONS


@contextmanager
def exhausted(site: Site) -> Iterator[Happened]:
    """Others have taken every connection that the server gives to ordinary users."""
    refusal = "remaining connection slots are reserved"
    with ExitStack() as taken:
        site.end_backends()
        url = site.cluster.dsn(site.name).replace("postgres:unused@", "site@") + "?application_name=others"
        # A place that is given back late is taken too.
        end = time.monotonic() + 30
        while True:
            assert time.monotonic() < end, "the service still has a connection"
            try:
                taken.enter_context(closing(psycopg.connect(url)))
            except psycopg.OperationalError as error:
                assert refusal in str(error), error
                if not site.backends():
                    break
        before = site.cluster.process.log_text().count(refusal)
        yield lambda: site.cluster.process.log_text().count(refusal) > before + CONNECTIONS


@contextmanager
def migrated(site: Site) -> Iterator[Happened]:
    """A migration that has the table of tokens to itself."""
    with (
        psycopg.connect(site.cluster.dsn(site.name)) as connection,
        sampled(lambda: site.backends("wait_event_type = 'Lock'")) as waiting,
    ):
        connection.execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
        # A token's look-up, and log-ins in all places of the pool.
        yield lambda: max(waiting) > CONNECTIONS


@contextmanager
def read_only(site: Site) -> Iterator[Happened]:
    """As a replica is, or a primary that has stepped down: the connections end, new ones can but read."""
    with site.connect() as connection:
        connection.execute(f'ALTER DATABASE "{site.name}" SET default_transaction_read_only = on')
    site.end_backends()
    yield lambda: "in a read-only transaction" in site.cluster.process.log_text()
    with site.connect() as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f'ALTER DATABASE "{site.name}" RESET default_transaction_read_only')
    site.end_backends()


FILLER = """
INSERT INTO auth_user
    (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT '', false, 'filler' || gen_random_uuid(), '', '', '', false, false, now()
"""
TOKEN = """
INSERT INTO authtoken_token SELECT left(md5(random()::text), 40), now(), u.id FROM auth_user u
WHERE username LIKE 'filler%' AND NOT EXISTS (SELECT FROM authtoken_token WHERE user_id = u.id) LIMIT 1
"""


def is_refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether the disk has no room for one more row."""
    try:
        assert connection.execute(statement).rowcount == 1, "the disk is not full"
    except psycopg.errors.DiskFull:
        return True
    return False


@contextmanager
def full(site: Site) -> Iterator[Happened]:
    """Not a byte is left in the file system, nor much room in the pages of the two tables."""
    rest = site.cluster.data / "rest"
    with site.connect() as connection:
        connection.execute(f"{FILLER} FROM generate_series(1, 1000)")
        with rest.open("wb") as file, suppress(OSError):
            while True:
                file.write(b"x" * 65536)
                file.flush()
        for statement in (TOKEN, FILLER):
            refused = 0
            while refused < 20:
                refused += is_refused(connection, statement)
        yield lambda: any(is_refused(connection, TOKEN) for _ in range(20))
    rest.unlink()


@contextmanager
def held(site: Site) -> Iterator[Happened]:
    """Somebody has the rows of every fifth user whose hash is outdated, and does not commit."""
    rows = "SELECT FROM auth_user WHERE username ~ '^outdated[0-9]*[05]$' FOR NO KEY UPDATE"
    with (
        psycopg.connect(site.cluster.dsn(site.name)) as connection,
        sampled(lambda: site.backends("wait_event_type = 'Lock'")) as waiting,
    ):
        connection.execute(rows)
        yield lambda: max(waiting) > 0


@contextmanager
def promoted(site: Site) -> Iterator[Happened]:
    """A standby is all there is, until it becomes a primary."""
    yield lambda: "in a read-only transaction" in site.cluster.process.log_text()
    assert site.cluster.admin.execute("SELECT pg_promote()").fetchone() == (True,)


LATENCY = 0.5
# A row with a token or a hash is some 90 bytes and more, and takes longer than the timeout.
DRIP = 0.03
TROUBLES = (
    Trouble(
        "each answer of the database comes 0.5 s late",
        broken(Fault(latency=LATENCY), "late"),
        CROWDED,
        latency=LATENCY,
        waits=True,
        logins=0.3,
        seconds=8.0,
    ),
    Trouble(
        "its bytes come one by one, each after 30 ms",
        broken(Fault(drip=DRIP), "dripping"),
        NONE,
        waits=True,
    ),
    Trouble("each of its answers breaks off with a reset", broken(Fault(cut=7, end="reset"), "reset"), NONE),
    Trouble("each of its answers breaks off with a close", broken(Fault(cut=7, end="close"), "close"), NONE),
    Trouble("its side is closed in the middle of an answer", broken(Fault(cut=7, end="half"), "half"), NONE),
    Trouble("the way to it is a black hole", silent, NONE, waits=True),
    Trouble("its backends are terminated", terminated, ALL_WELL),
    Trouble("others have taken all its connections", exhausted, NONE),
    Trouble("a migration holds `ACCESS EXCLUSIVE`", migrated, NONE, waits=True),
    Trouble("a hash's renewal waits for a row longer than the timeout", held, ALL_WELL),
    Trouble("it becomes read-only", read_only, READS),
)
FULL = Trouble("its disk is full", full, NEARLY)
STANDBY = Trouble("it is a standby, promoted in the end", promoted, READS)


def measure(stage: Stage) -> list[Finding]:
    """All troubles but two on one service; a full disk is a small one, and a standby another server."""
    seconds = 30.0 if stage.long else 2.0
    found = []
    for troubles in (TROUBLES, (FULL,)):
        folder = stage.bench.folder / stage.bench.name("cluster")
        folder.mkdir()
        with small(folder) if troubles == (FULL,) else ExitStack():
            folder.chmod(0o711)
            cluster = Cluster(folder, max_connections="40")
            try:
                with site(stage, cluster) as there:
                    found += [measure_one(there, trouble, seconds) for trouble in troubles]
                if troubles == TROUBLES:
                    found.append(standby(stage, there, folder / "standby", seconds))
            finally:
                cluster.stop()
    return found


@contextmanager
def small(folder: Path, megabytes: int = 96) -> Iterator[None]:
    """A file system of that size. A limit of a process is another fault: its error is not ENOSPC."""
    options = f"size={megabytes}m,mode=711"
    mount = [*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        wanted = (
            "a disk that is full is a file system of its own: run as root, or with sudo without a password"
        )
        raise StartError(f"{wanted}; {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([*AS_ROOT, "umount", "--lazy", str(folder)], check=True)


@contextmanager
def site(stage: Stage, cluster: Cluster) -> Iterator[Site]:
    """A database whose owner is no superuser, as a site's is."""
    name = "site"
    cluster.create(name)
    stage.pair.migrate(cluster.dsn(name))
    old, new = (pbkdf2("sha256", number, SALT, PASSWORD) for number in (900, 1000))
    users = [ALICE]
    users += [User(f"outdated{n}", PASSWORD, old, f"{n:040x}") for n in range(OUTDATED)]
    users += [User(f"first{n}", PASSWORD, new) for n in range(FRESH)]
    with closing(stage.bench.open(cluster.dsn(name))) as database:
        database.reset(users)
    with psycopg.connect(cluster.dsn(name), autocommit=True) as admin:
        admin.execute("SELECT setval(pg_get_serial_sequence('auth_user', 'id'), 1000000)")
        admin.execute("CREATE ROLE site LOGIN")
        admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO site")
        admin.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO site")
    with served(stage, cluster, name) as there:
        yield there


@contextmanager
def served(stage: Stage, cluster: Cluster, name: str, asked: int = 0) -> Iterator[Site]:
    """A service of that database, behind a hole."""
    with Hole(("127.0.0.1", cluster.port)) as hole:
        url = f"postgres://site:unused@127.0.0.1:{hole.port}/{name}"

        def start() -> Service:
            stage.stop()
            settings = {"DATABASE_CONNECTIONS": CONNECTIONS, "REQUEST_THREADS": THREADS}
            return stage.start(url, settings | {"DATABASE_TIMEOUT": TIMEOUT})

        yield Site(cluster, name, hole, start, start(), asked)
        stage.stop()


def standby(stage: Stage, primary: Site, folder: Path, seconds: float) -> Finding:
    """Its own standby is the service's only database."""
    cluster = Standby(primary.cluster, folder)
    try:
        with served(stage, cluster, primary.name, primary.asked) as there:
            return suffer(there, STANDBY, seconds)
    finally:
        cluster.stop()


def measure_one(site: Site, trouble: Trouble, seconds: float) -> Finding:
    if not all(ask(site, kind).status == 200 for kind in KINDS):
        # That it did not recover was told where it happened.
        site.service = site.start()
        assert all(ask(site, kind).status == 200 for kind in KINDS)
    return suffer(site, trouble, seconds)


def suffer(site: Site, trouble: Trouble, seconds: float) -> Finding:
    """One of them, and the recovery from it."""
    seconds = max(seconds, trouble.seconds)
    with trouble.during(site) as happened:
        with Steady(site.service.address, RATE, site.request, PATIENCE) as load:
            time.sleep(seconds)
            load.is_over.set()
            load.thread.join()
        # What was asked meanwhile has been answered, so that only what comes now is the recovery.
        is_proved = happened()
    after = recovery(site, trouble.recovery)
    against = judge(load.seen, trouble)
    logins = sum(one.kind != "token" and one.status == 200 for one in load.seen)
    if logins < seconds * trouble.logins:
        against.append(f"only {logins} log-ins in {seconds:.0f} s")
    if not is_proved:
        against.append("nothing was proved: the fault did not happen")
    if after > trouble.recovery:
        against.append(f"it recovers after {after:.1f} s")
    if (backends := site.backends_at_rest()) > CONNECTIONS + THREADS:
        against.append(f"{backends} connections are left")
    figure = f"{told(load.seen)}; longest wait {slowest(load.seen):.1f} s; well after {after:.1f} s"
    how = f"{seconds:.0f} s at {RATE} requests/s"
    return Finding(f"Database: {trouble.name}", how, figure, against)


def ask(site: Site, kind: str) -> Seen:
    """One request of that kind."""
    while site.asked % len(KINDS) != KINDS.index(kind):
        site.asked += 1
    load = Steady(site.service.address, RATE, site.request, PATIENCE)
    load.ask(*site.request(0))
    return load.seen[0]


def recovery(site: Site, within: float) -> float:
    """How long it takes until each kind is answered as it should be."""
    began = time.monotonic()
    for kind in KINDS:
        while ask(site, kind).status != 200 and time.monotonic() - began < within + 20:
            time.sleep(0.02)
    return time.monotonic() - began


def judge(seen: list[Seen], trouble: Trouble) -> list[str]:
    """What was answered and should not have been, or sooner or later than the fault lets it."""
    against = []
    for one in seen:
        right = one.is_unavailable() if one.status == 503 else True
        soonest = STATEMENTS[one.kind] * trouble.latency if one.status == 200 else trouble.waits * TIMEOUT
        if one.status not in trouble.expected[one.kind] or not right:
            against.append(f"{one.kind}: {one.status} {one.body[:60]!r}")
        elif one.seconds > WAITS[one.kind] * TIMEOUT + SLACK:
            against.append(f"{one.kind}: waited {one.seconds:.1f} s")
        elif one.seconds < soonest:
            against.append(f"{one.kind}: {one.status} after {one.seconds:.2f} s, where nothing comes so soon")
    return against


def told(seen: list[Seen]) -> str:
    """The statuses of those who only read, and of those who write."""
    groups = {"read": ("token", "login"), "write": ("outdated", "first")}
    parts = [f"{name}: {statuses(o for o in seen if o.kind in kinds)}" for name, kinds in groups.items()]
    return "; ".join(parts)
