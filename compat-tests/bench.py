"""The workbench of a run: its folder, its cluster, its databases, and the two sides set up on them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databases import USER_TABLES, Database, PostgresDatabase, SqliteDatabase
from postgres import Cluster
from services import Orm, Pair, Service, start_django, start_exported
from sites import QUICK_HASH, SITES

# Under seed 4 `@api_view` orders its methods the other way round than under seed 0.
SEEDS = ("0", "4")


@dataclass
class Rig:
    """Both sides, each on a database of its own (or both on one), and Django's ORM on Django's."""

    pair: Pair
    django: Service
    django_db: Database
    ours: Service
    our_db: Database
    orm: Orm

    def stop(self) -> None:
        """Ends all of it."""
        self.orm.stop()
        for part in (self.django, self.ours):
            part.stop()
        for database in {id(self.django_db): self.django_db, id(self.our_db): self.our_db}.values():
            database.close()


class Bench:
    """Makes databases and rigs; everything ends with it."""

    def __init__(self, folder: Path, **further: str) -> None:
        # The cluster's user must be able to pass through.
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        self.folder = folder
        # Settings of its cluster.
        self.further = further
        self.rigs: dict[tuple[str, ...], Rig] = {}
        self.templates: dict[tuple[str, str, str], str] = {}
        self.count = 0
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The PostgreSQL cluster; started when first asked for."""
        if self._cluster is None:
            self._cluster = Cluster(self.folder, **self.further)
        return self._cluster

    def name(self, stem: str) -> str:
        """A name that was not used before in this run."""
        self.count += 1
        return f"{stem}_{self.count}"

    def empty_url(self, kind: str) -> str:
        """The URL of a new database without tables (of SQLite not even the file exists)."""
        name = self.name("empty")
        if kind == "postgres":
            return self.cluster.create(name)
        return f"sqlite:///{self.folder / name}.sqlite3"

    def migrated_url(self, pair: Pair, kind: str, settings: Mapping[str, Any] = QUICK_HASH) -> str:
        """The URL of a new database with Django's own schema: a copy of one that `migrate` made."""
        key = (pair.django, kind, settings.get("AUTH_USER_MODEL", "auth.User"))
        if key not in self.templates:
            template = self.empty_url(kind)
            pair.migrate(template, settings)
            self.templates[key] = template
        template = self.templates[key]
        if kind == "postgres":
            return self.cluster.create(self.name("site"), template.rsplit("/", 1)[1])
        path = self.folder / f"{self.name('site')}.sqlite3"
        shutil.copyfile(template.removeprefix("sqlite:///"), path)
        return f"sqlite:///{path}"

    def database(self, pair: Pair, kind: str, settings: Mapping[str, Any] = QUICK_HASH) -> Database:
        """A new database with Django's schema, opened."""
        return self.open(
            self.migrated_url(pair, kind, settings), settings.get("AUTH_USER_MODEL", "auth.User")
        )

    def open(self, url: str, user_model: str = "auth.User") -> Database:
        """The runner's own hold on a database."""
        table = USER_TABLES[user_model]
        if url.startswith("sqlite"):
            return SqliteDatabase(Path(url.removeprefix("sqlite:///")), table)
        return PostgresDatabase(url, table)

    def log(self, stem: str) -> Path:
        """A new log file."""
        return self.folder / f"{self.name(stem)}.log"

    def rig(self, pair: Pair, kind: str, site: str = "plain", *, ours: str, shared: bool = False) -> Rig:
        """The rig for these settings; started when first asked for, kept while the pair and kind stay."""
        key = (pair.django, kind, site, ours, str(shared))
        if key not in self.rigs:
            for other in [other for other in self.rigs if other[:2] != key[:2]]:
                self.rigs.pop(other).stop()
            self.rigs[key] = self._rig(pair, kind, site, ours, shared)
        return self.rigs[key]

    def _rig(self, pair: Pair, kind: str, site: str, ours: str, shared: bool) -> Rig:
        settings = SITES[site]
        django_db = self.database(pair, kind, settings)
        our_db = django_db if shared else self.database(pair, kind, settings)
        seed, other = SEEDS if kind == "postgres" else reversed(SEEDS)
        django = start_django(pair, django_db.url, settings, self.log("django"), seed=seed)
        if ours == "django":
            second = start_django(pair, our_db.url, settings, self.log("other"), seed=other)
        else:
            second = start_exported(pair, our_db.url, settings, self.log("ours"))
        return Rig(pair, django, django_db, second, our_db, Orm(pair, django_db.url, settings))

    def stop(self) -> None:
        """Ends every service and the cluster."""
        while self.rigs:
            self.rigs.popitem()[1].stop()
        if self._cluster:
            self._cluster.stop()
