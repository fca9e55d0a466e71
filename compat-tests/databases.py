"""The tables that the comparison looks at: filled before a case, read before and after it."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg

import sessions
from sessions import Session

JOINED = "2025-03-04 05:06:07.891011"
CREATED = "2026-01-02 03:04:05.678901"

Row = Mapping[str, Any]
Table = dict[str, Row]


@dataclass(frozen=True)
class User:
    """A user that a case needs, as a row and perhaps a token row."""

    name: str
    password: str
    encoded: str
    token: str | None = None
    active: bool = True
    created: str = CREATED


@dataclass(frozen=True)
class Snapshot:
    """Every row of each table, by its primary key."""

    users: Table
    tokens: Table
    sessions: Table = field(default_factory=dict)

    def name_of(self, user_id: object) -> str:
        """The name of the user with that id, for a reader of a report."""
        row = self.users.get(str(user_id))
        return str(row["username"]) if row else f"user {user_id}"


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """What happened between two snapshots: `+ token bob`, `~ password mallory`, `- user carol`."""
    found = []
    tables = (
        ("user", before.users, after.users),
        ("token", before.tokens, after.tokens),
        ("session", before.sessions, after.sessions),
    )
    for what, old, new in tables:
        for key in sorted(old.keys() | new.keys()):
            row = new.get(key) or old[key]
            shot = after if key in new else before
            name = sessions.name_of(key) if what == "session" else row.get("username")
            name = name or shot.name_of(row["user_id"])
            if key not in old:
                found.append(f"+ {what} {name}")
            elif key not in new:
                found.append(f"- {what} {name}")
            else:
                found += [f"~ {column} {name}" for column in row if old[key][column] != row[column]]
    return sorted(found)


@dataclass(frozen=True)
class UserTable:
    """The table of a user model: its name as SQL has it, and the columns by the names that we call them."""

    name: str
    columns: Mapping[str, str]
    key: Callable[[int, str, str], Any] = lambda number, name, kind: number

    def table(self, kind: str) -> str:
        """SQLite has no schemas."""
        return self.name if kind == "postgres" else self.name.replace('"accounts"."user"', "accounts_user")


def same(*names: str) -> dict[str, str]:
    """Columns that are called what we call them."""
    return {name: name for name in names}


def uuid_of(number: int, kind: str) -> Any:
    """The n-th user's UUID as the database has it."""
    made = uuid.UUID(int=(number << 64) + 0xFEDCBA)
    return made if kind == "postgres" else made.hex


USER_TABLES = {
    "auth.User": UserTable(
        "auth_user",
        same(
            "id", "password", "last_login", "is_superuser", "username", "first_name", "last_name", "email",
            "is_staff", "is_active", "date_joined",
        ),
    ),
    "accounts.EmailUser": UserTable(
        '"Email Users"',
        {"id": "uid", "password": "password_hash", "username": "e_mail", "is_active": "active"}
        | same("last_login"),
        lambda number, name, kind: uuid_of(number, kind),
    ),
    "accounts.NumberUser": UserTable(
        '"accounts"."user"',
        same("id", "password", "last_login", "username", "is_active"),
        lambda number, name, kind: (1 << 40) + number,
    ),
    # Its name is its key, so that both are read from one column.
    "accounts.BareUser": UserTable(
        "accounts_bareuser", same("password") | {"username": "name"}, lambda number, name, kind: name
    ),
}  # fmt: skip
TOKEN_COLUMNS = "key, created, user_id"
SESSION_COLUMNS = "session_key, session_data, expire_date"


def user_rows(users: Iterable[User], table: UserTable, kind: str) -> list[tuple[Any, ...]]:
    """Rows of the user table, the n-th user's key from n; SQL types are those of both databases."""
    rows = []
    for number, user in enumerate(users, 1):
        row = {
            "id": table.key(number, user.name, kind), "password": user.encoded, "last_login": None,
            "is_superuser": False, "username": user.name, "first_name": "", "last_name": "", "email": "",
            "is_staff": False, "is_active": user.active, "date_joined": JOINED,
        }  # fmt: skip
        rows.append(tuple(row[name] for name in table.columns))
    return rows


def token_rows(users: Iterable[User], table: UserTable, kind: str) -> list[tuple[Any, ...]]:
    """Rows of authtoken_token for the users that have one."""
    keyed = ((table.key(number, user.name, kind), user) for number, user in enumerate(users, 1))
    return [(user.token, user.created, key) for key, user in keyed if user.token]


def session_rows(
    kept: Iterable[Session], users: Iterable[User], table: UserTable, kind: str
) -> list[tuple[str, str, str]]:
    """Rows of django_session; nobody has the key 999."""
    known = {user.name: (number, user) for number, user in enumerate(users, 1)}
    rows = []
    for session in kept:
        number, user = known.get(session.user, (999, User(session.user, "", "!")))
        key = str(table.key(number, user.name, "postgres"))
        rows.append((session.key, session.session_data(key, user.encoded), session.expire_date))
    return rows


def inserts(mark: str, table: UserTable, kind: str) -> tuple[str, str, str]:
    """The INSERT statements in a driver's placeholder style."""
    columns = ", ".join(table.columns.values())
    marks = ", ".join([mark] * len(table.columns))
    return (
        f"INSERT INTO {table.table(kind)} ({columns}) VALUES ({marks})",
        f"INSERT INTO authtoken_token ({TOKEN_COLUMNS}) VALUES ({', '.join([mark] * 3)})",
        f"INSERT INTO django_session ({SESSION_COLUMNS}) VALUES ({', '.join([mark] * 3)})",
    )


def selects(table: UserTable, kind: str, has_sessions: bool) -> list[str]:
    """The tables, the key of each row first."""
    key = table.columns.get("id", table.columns["username"])
    columns = ", ".join(f"{column} AS {name}" for name, column in table.columns.items())
    statements = [
        f"SELECT {key} AS id, {columns} FROM {table.table(kind)}",
        f"SELECT {TOKEN_COLUMNS} FROM authtoken_token",
    ]
    return [*statements, f"SELECT {SESSION_COLUMNS} FROM django_session"] if has_sessions else statements


class Database(Protocol):
    """A database of the comparison, whichever kind."""

    kind: str
    url: str
    table: UserTable

    def reset(self, users: Iterable[User], kept: Sequence[Session] = ()) -> None:
        """Leaves exactly these users, their tokens and these sessions."""

    def snapshot(self) -> Snapshot:
        """All rows as they are now."""

    def close(self) -> None:
        """Gives up the connection."""


class PostgresDatabase:
    """A database of the throw-away cluster."""

    kind = "postgres"

    def __init__(self, url: str, table: UserTable) -> None:
        self.url, self.table, self.has_sessions = url, table, False
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")

    def reset(self, users: Iterable[User], kept: Sequence[Session] = ()) -> None:
        """One transaction, so that no server ever sees half of it."""
        users, table = list(users), self.table
        rows: list[list[Any]] = [user_rows(users, table, self.kind), token_rows(users, table, self.kind)]
        rows.append(session_rows(kept, users, table, self.kind))
        had_sessions, self.has_sessions = self.has_sessions, bool(kept)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute("DELETE FROM authtoken_token")
            if had_sessions:
                cursor.execute("DELETE FROM django_session")
            # What the admin writes down refers to users.
            cursor.execute("DELETE FROM django_admin_log")
            cursor.execute(f"DELETE FROM {table.table(self.kind)}")
            for statement, values in zip(inserts("%s", table, self.kind), rows, strict=True):
                if values:
                    cursor.executemany(statement, values)
            # A user made later (through the admin, say) must not meet an id of ours.
            if table.columns.get("id") == "id":
                cursor.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, 'id'), 1000)", [table.table(self.kind)]
                )

    def snapshot(self) -> Snapshot:
        """Values as the driver types them, times in UTC."""
        tables: list[Table] = []
        for statement in selects(self.table, self.kind, self.has_sessions):
            cursor = self.connection.execute(statement)
            names = [column.name for column in cursor.description or ()]
            tables.append({str(row[0]): dict(zip(names, row, strict=True)) for row in cursor})
        return Snapshot(*tables)

    def close(self) -> None:
        """Closes the connection; the database goes with the cluster."""
        self.connection.close()


class SqliteDatabase:
    """A database file."""

    kind = "sqlite"

    def __init__(self, path: Path, table: UserTable) -> None:
        self.url, self.table, self.has_sessions = f"sqlite:///{path}", table, False
        self.connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.connection.execute("PRAGMA synchronous = OFF")

    def reset(self, users: Iterable[User], kept: Sequence[Session] = ()) -> None:
        """One transaction, so that no server ever sees half of it."""
        users, table = list(users), self.table
        rows: list[list[Any]] = [user_rows(users, table, self.kind), token_rows(users, table, self.kind)]
        rows.append(session_rows(kept, users, table, self.kind))
        had_sessions, self.has_sessions = self.has_sessions, bool(kept)
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        run("DELETE FROM authtoken_token")
        if had_sessions:
            run("DELETE FROM django_session")
        run("DELETE FROM django_admin_log")
        run(f"DELETE FROM {table.table(self.kind)}")
        for statement, values in zip(inserts("?", table, self.kind), rows, strict=True):
            if values:
                self.connection.executemany(statement, values)
        run("COMMIT")

    def snapshot(self) -> Snapshot:
        """Values in SQLite's own storage classes: a time is the exact text that was written."""
        tables: list[Table] = []
        for statement in selects(self.table, self.kind, self.has_sessions):
            cursor = self.connection.execute(statement)
            names = [column[0] for column in cursor.description]
            tables.append({str(row[0]): dict(zip(names, row, strict=True)) for row in cursor})
        return Snapshot(*tables)

    def close(self) -> None:
        """Closes the file; it goes with the run's folder."""
        self.connection.close()
