"""scripts/export_settings.py: what the service cannot do is refused by its Python path, nothing else is."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import readme
from bench import Bench
from services import EXPORT, Exporter, Pair, export, pairs, run_binary, start_exported
from sites import SITES, middleware
from wire import simple

pytestmark = pytest.mark.usefixtures("binary")
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])
ODD = {"ROOT_URLCONF": "project.odd"}
TOKEN_AUTHENTICATION = "rest_framework.authentication.TokenAuthentication"
BASIC_AUTHENTICATION = "rest_framework.authentication.BasicAuthentication"
SESSION_AUTHENTICATION = "rest_framework.authentication.SessionAuthentication"
COMMON = ["django.middleware.common.CommonMiddleware"]


@dataclass
class Site:
    """Settings of a site, the Python paths that are refused, and what else the file holds."""

    settings: dict[str, Any]
    refused: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)


def odd(name: str, *refused: str, **told: Any) -> Site:
    """The site with that thing of `project/odd.py` in place of its login."""
    return Site(ODD | {"ODD": name}, list(refused), told)


def drf(**settings: Any) -> dict[str, Any]:
    """The site's REST_FRAMEWORK with more in it."""
    return {"REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": [TOKEN_AUTHENTICATION]} | settings}


def backends(*names: str) -> dict[str, list[str]]:
    return {"AUTHENTICATION_BACKENDS": [name if "." in name else f"project.odd.{name}" for name in names]}


def pages(*statuses: int) -> dict[str, Any]:
    """Templates of the site's own."""
    texts = {f"{status}.html": "A page." for status in statuses}
    options = {"loaders": [["django.template.loaders.locmem.Loader", texts]]}
    return {"TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}]}


def database(engine: str, *refused: str, **told: Any) -> Site:
    """A site with this database."""
    return Site({"DATABASES": {"default": {"ENGINE": engine} | told}}, list(refused))


def elsewhere(label: str, *refused: str) -> Site:
    """A site with a second database for this model."""
    settings = {"REPLICA_URL": "sqlite:////other.sqlite3", "ELSEWHERE": [label]}
    routers = {"DATABASE_ROUTERS": ["project.odd.TwoDatabases"]}
    return Site(SITES["drf-defaults"] | settings | routers, list(refused))


MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
POSTGRES = "django.db.backends.postgresql"
SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    *COMMON,
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
UNSERVED_DRF = {
    "DEFAULT_METADATA_CLASS": "rest_framework.metadata.BaseMetadata",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "rest_framework.negotiation.BaseContentNegotiation",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "EXCEPTION_HANDLER": "project.odd.handle",
    "NON_FIELD_ERRORS_KEY": "errors",
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "STRICT_JSON": False,
    "VIEW_NAME_FUNCTION": "project.odd.name_of",
    "VIEW_DESCRIPTION_FUNCTION": "project.odd.description_of",
}
PATHS = {
    "plain": Site(
        SITES["plain"],
        told={
            "PBKDF2_ITERATIONS": 1000,
            "LOGIN_PATH": ["/api-token-auth/"],
            "SECRET_PATH": "/secret/",
            "AUTH_USER_TABLE": "auth_user",
            "AUTH_USER_PK_TYPE": "int",
        },
    ),
    "backend": Site(
        backends("EmailBackend"), ["project.odd.EmailBackend", "settings.AUTHENTICATION_BACKENDS"]
    ),
    "two backends": Site(backends(MODEL_BACKEND, "EmailBackend"), ["project.odd.EmailBackend"]),
    "backend that lets everybody in": Site(
        backends(MODEL_BACKEND, "EverybodyBackend"), ["project.odd.EverybodyBackend"]
    ),
    "Django's backend that lets everybody in": Site(
        backends("django.contrib.auth.backends.AllowAllUsersModelBackend"),
        ["django.contrib.auth.backends.AllowAllUsersModelBackend", "settings.AUTHENTICATION_BACKENDS"],
    ),
    "backends that answer no password": Site(backends("KeyBackend", MODEL_BACKEND, "PermissionsBackend")),
    "hasher": Site({"PASSWORD_HASHERS": ["project.odd.OwnHasher"]}, ["project.odd.OwnHasher"]),
    "middleware": Site({"MIDDLEWARE": ["project.odd.Middleware"]}, ["project.odd.Middleware"]),
    "passwords before tokens": Site(
        SITES["basic-token"],
        told={"DEFAULT_AUTHENTICATION_CLASSES": [BASIC_AUTHENTICATION, TOKEN_AUTHENTICATION]},
    ),
    "passwords alone": Site(
        drf(DEFAULT_AUTHENTICATION_CLASSES=[BASIC_AUTHENTICATION]),
        told={"DEFAULT_AUTHENTICATION_CLASSES": [BASIC_AUTHENTICATION]},
    ),
    "another realm": Site(
        drf(DEFAULT_AUTHENTICATION_CLASSES=["project.authentication.Realm"]),
        ["project.authentication.Realm"],
    ),
    "tokens as passwords": Site(
        drf(DEFAULT_AUTHENTICATION_CLASSES=["project.authentication.BasicTokens", BASIC_AUTHENTICATION]),
        ["rest_framework.authtoken.views.ObtainAuthToken", "project.views.secret"],
    ),
    "views with other classes": odd("Passwords", "project.odd.Passwords", "project.views.secret"),
    "post": odd("Post", "project.odd.Post", "project.odd.Post.post"),
    "renderer": odd(
        "Rendered", "project.odd.Rendered", "project.odd.Rendered.renderer_classes", "project.odd.Renderer"
    ),
    "parser": odd("Parsed", "project.odd.Parsed", "project.odd.Parsed.parser_classes", "project.odd.Parser"),
    "browsable": odd("Browsable", "project.odd.Browsable", "project.odd.Browsable.renderer_classes"),
    "keyword": odd("Bearer", "project.odd.Bearer", TOKEN_KEYWORDS=["Bearer"]),
    "keyword that is no word": Site(
        drf(DEFAULT_AUTHENTICATION_CLASSES=["project.authentication.TwoWords"]),
        ["project.authentication.TwoWords"],
    ),
    "two classes with one keyword": Site(
        drf(DEFAULT_AUTHENTICATION_CLASSES=["project.authentication.Shouted", TOKEN_AUTHENTICATION]),
        told={"TOKEN_KEYWORDS": ["TOKEN"]},
    ),
    "two keywords": Site(
        drf(
            DEFAULT_AUTHENTICATION_CLASSES=[
                "project.authentication.BearerAuthentication",
                TOKEN_AUTHENTICATION,
            ]
        ),
        told={"TOKEN_KEYWORDS": ["Bearer", "Token"]},
    ),
    "secret with other renderers": Site(
        drf(DEFAULT_RENDERER_CLASSES=["rest_framework.renderers.JSONRenderer"]),
        ["project.views.secret.renderer_classes"],
    ),
    "authentication": odd("Short", "project.odd.Short", "project.odd.ShortAuthentication"),
    "session": odd(
        "Session",
        "project.odd.Session",
        DEFAULT_AUTHENTICATION_CLASSES=[TOKEN_AUTHENTICATION, SESSION_AUTHENTICATION],
        AUTHENTICATION_BACKENDS=[MODEL_BACKEND],
        SESSION_COOKIE_NAME="sessionid",
    ),
    "sessions in other places": Site(
        SITES["drf-defaults"]
        | {
            "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
            "SESSION_SAVE_EVERY_REQUEST": True,
            "SESSION_SERIALIZER": "project.odd.Serializer",
            "CSRF_USE_SESSIONS": True,
        },
        [
            f"settings.{name}"
            for name in (
                "SESSION_ENGINE",
                "SESSION_SAVE_EVERY_REQUEST",
                "SESSION_SERIALIZER",
                "CSRF_USE_SESSIONS",
            )
        ],
    ),
    "keys that are no texts": Site(
        SITES["drf-defaults"] | {"SECRET_KEY_FALLBACKS": [5]}, ["settings.SECRET_KEY"]
    ),
    "sessions for other sites": Site(
        SITES["drf-defaults"] | {"SESSION_COOKIE_SAMESITE": "None"}, ["settings.SESSION_COOKIE_SAMESITE"]
    ),
    "sessions that are not installed": Site(
        SITES["drf-defaults"]
        | {
            "INSTALLED_APPS": [
                "django.contrib.contenttypes",
                "django.contrib.auth",
                "django.contrib.admin",
                "django.contrib.messages",
                "django.contrib.staticfiles",
                "rest_framework",
                "rest_framework.authtoken",
                "drf_spectacular",
            ]
        },
        ["settings.INSTALLED_APPS"],
    ),
    "sessions without their middleware": Site(
        SITES["drf-defaults"] | {"MIDDLEWARE": COMMON}, ["settings.MIDDLEWARE"]
    ),
    "sessions behind the language": Site(
        SITES["drf-defaults"]
        | {
            "MIDDLEWARE": sorted(
                middleware("CommonMiddleware")["MIDDLEWARE"], key=lambda path: "locale" not in path
            )
        },
        ["settings.MIDDLEWARE"],
    ),
    "sessions of other backends": Site(
        SITES["drf-defaults"] | backends(MODEL_BACKEND, "SessionBackend", "PermissionsBackend"),
        ["project.odd.SessionBackend.get_user"],
        {"AUTHENTICATION_BACKENDS": [MODEL_BACKEND]},
    ),
    "session between two keywords": Site(
        drf(
            DEFAULT_AUTHENTICATION_CLASSES=[
                "project.authentication.BearerAuthentication",
                SESSION_AUTHENTICATION,
                TOKEN_AUTHENTICATION,
            ]
        ),
        ["project.views.secret", "rest_framework.authtoken.views.ObtainAuthToken"],
    ),
    "nobody": odd("Nobody", "project.odd.Nobody", "project.odd.NobodyAuthentication"),
    "no authentication": odd("Open", "project.odd.Open", "project.odd.Open"),
    "description": odd("Described", "project.odd.Described"),
    "subclass that changes nothing": odd("Same", LOGIN_PATH=["/api-token-auth/"], SECRET_PATH="None"),
    "wrapped view": odd("wrapped", "rest_framework.authtoken.views.ObtainAuthToken"),
    "arguments of as_view": odd("initkwargs", "rest_framework.authtoken.views.ObtainAuthToken"),
    "two paths": odd("prefix", LOGIN_PATH=["/api/v1/token.auth/", "/api/v1/token.auth"]),
    "prefix, three routes and Bearer": Site(
        SITES["prefix-bearer"],
        told={
            "LOGIN_PATH": ["/api/v1/token/", "/api/v1/token", "/api/v1/login.json", "/api-token-auth/"],
            "SECRET_PATH": "/api/v1/secret/",
            "TOKEN_KEYWORDS": ["Bearer"],
        },
    ),
    "path with a variable": odd(
        "converter", "rest_framework.authtoken.views.ObtainAuthToken", "settings.ROOT_URLCONF"
    ),
    "path without an end": odd(
        "open end", "rest_framework.authtoken.views.ObtainAuthToken", "settings.ROOT_URLCONF"
    ),
    "path that another view answers": odd("hidden", LOGIN_PATH=["/api-token-auth/"]),
    "path behind a language": odd(
        "prefixed", "rest_framework.authtoken.views.ObtainAuthToken", "settings.ROOT_URLCONF"
    ),
    "path that looks like one behind a language": Site(
        ODD | middleware("CommonMiddleware") | {"ODD": "code"}, ["/de/login/"]
    ),
    "languages in paths, none in the default one": Site(
        ODD | middleware("CommonMiddleware") | {"ODD": "default without prefix"}, ["settings.ROOT_URLCONF"]
    ),
    "languages in paths that do not matter": odd("default without prefix"),
    "other fallbacks between languages": Site(
        ODD | middleware("CommonMiddleware") | {"ODD": "languages"}, ["django.conf.locale.LANG_INFO"]
    ),
    "two paths of the secret": odd("two secrets", "/api/secret/", SECRET_PATH="/secret/"),
    "secret with and without a slash": odd(
        "secret with an optional slash", "/secret", SECRET_PATH="/secret/"
    ),
    "secret whose path has a variable": odd(
        "secret with a variable", "project.views.secret", SECRET_PATH="None"
    ),
    "parsers and throttles of the secret": Site(
        drf(
            DEFAULT_PARSER_CLASSES=["rest_framework.parsers.JSONParser"],
            DEFAULT_THROTTLE_CLASSES=["rest_framework.throttling.UserRateThrottle"],
        ),
        ["project.views.secret.parser_classes", "project.views.secret.throttle_classes"],
    ),
    "throttle and permission": odd(
        "Guarded",
        "project.odd.Guarded",
        "project.odd.Guarded.permission_classes",
        "project.odd.Guarded.throttle_classes",
        "project.odd.Permission",
        "project.odd.Throttle",
    ),
    "pages behind a login": Site(ODD | {"MIDDLEWARE": [*SESSIONS, LOGIN_REQUIRED]}),
    "token views behind a login": Site(
        ODD | {"ODD": "login required", "MIDDLEWARE": [*SESSIONS, LOGIN_REQUIRED]}, [LOGIN_REQUIRED]
    ),
    "no hosts": Site({"ALLOWED_HOSTS": []}, ["settings.ALLOWED_HOSTS"]),
    "no login": odd("none", "settings.ROOT_URLCONF"),
    "handlers, of which Django asks three": odd(
        "handlers", "project.odd.bad_request", "project.odd.bad_request", "project.odd.server_error"
    ),
    "handlers and user agents": Site(
        ODD | {"ODD": "handlers", "DISALLOWED_USER_AGENTS": ["^Bad"]},
        ["project.odd.bad_request"] * 3 + ["project.odd.server_error"],
    ),
    "DRF's own handler": odd("handler of DRF", LOGIN_PATH=["/api-token-auth/"]),
    "pages that Django does not show": Site(pages(403, 404, 500)),
    "pages for bad requests and user agents": Site(
        pages(400, 403) | {"DISALLOWED_USER_AGENTS": ["^Bad"]}, ["400.html", "403.html"]
    ),
    "signal": odd("signal", "project.odd.told"),
    "signals of tokens": odd("signals of tokens", "project.odd.told", "project.odd.told"),
    "columns of tokens": odd("columns of tokens", "rest_framework.authtoken.models.Token"),
    "users that are not all found": Site(
        {"AUTH_USER_MODEL": "accounts.HiddenUser"}, ["accounts.models.Visible.get"]
    ),
    "users that do all by themselves": Site(
        SITES["drf-defaults"] | {"AUTH_USER_MODEL": "accounts.OwnUser"},
        [
            "accounts.models.Named.get_by_natural_key",
            *(
                f"accounts.models.OwnUser.{name}"
                for name in (
                    "check_password",
                    "get_session_auth_hash",
                    "get_username",
                    "is_active",
                    "set_password",
                )
            ),
        ],
    ),
    "users with odd columns": Site(
        {"AUTH_USER_MODEL": "accounts.OddUser"},
        ["accounts.models.OddUser", *["accounts.models.OddUser.key"] * 2, "accounts.models.OddUser.name"],
    ),
    "users without a password": Site(
        {"AUTH_USER_MODEL": "accounts.KeylessUser"}, ["accounts.models.KeylessUser"]
    ),
    "argon2 that costs more": Site(
        {"PASSWORD_HASHERS": ["project.odd.DearArgon2", "project.odd.DearScrypt"]},
        [f"project.odd.DearArgon2.{name}" for name in ("memory_cost", "parallelism", "time_cost")],
    ),
    "bcrypt that costs more": Site(
        {"PASSWORD_HASHERS": ["project.odd.DearBcrypt"]}, ["project.odd.DearBcrypt.rounds"]
    ),
    "scrypt that costs more": Site(
        {"PASSWORD_HASHERS": ["project.odd.DearScrypt"]},
        [f"project.odd.DearScrypt.{name}" for name in ("block_size", "parallelism", "work_factor")],
    ),
    "longer salts": Site(
        {"PASSWORD_HASHERS": ["project.odd.SaltyHasher"]}, ["project.odd.SaltyHasher.salt_entropy"]
    ),
    "charset and uploads": Site(
        {
            "DEFAULT_CHARSET": "latin-1",
            "FILE_UPLOAD_HANDLERS": ["django.core.files.uploadhandler.TemporaryFileUploadHandler"],
        },
        ["settings.DEFAULT_CHARSET", "settings.FILE_UPLOAD_HANDLERS"],
    ),
    "all of DRF's settings that the service has not": Site(
        drf(**UNSERVED_DRF),
        ["rest_framework.authtoken.views.ObtainAuthToken"]
        + [f"settings.REST_FRAMEWORK[{name!r}]" for name in UNSERVED_DRF],
    ),
    "times that are not UTC": Site({"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"}, ["settings.USE_TZ"]),
    "another vendor": database("project.mysql", "settings.DATABASES['default']", NAME="site"),
    "SQLite in memory": database(
        "django.db.backends.sqlite3", "settings.DATABASES['default']", NAME=":memory:"
    ),
    "several hosts": database(POSTGRES, "settings.DATABASES['default']", NAME="site", HOST="one,other"),
    "a service and an option": database(
        POSTGRES,
        "settings.DATABASES['default']",
        *(f"settings.DATABASES['default']['OPTIONS'][{name!r}]" for name in ("isolation_level", "service")),
        OPTIONS={"service": "site", "isolation_level": 2, "connect_timeout": 5},
    ),
    "users and tokens in two databases": elsewhere(
        "authtoken.Token", "settings.DATABASE_ROUTERS", "settings.DATABASE_ROUTERS"
    ),
    "sessions and tokens in two databases": elsewhere("sessions.Session", "settings.DATABASE_ROUTERS"),
}


@pytest.fixture(scope="module")
def exporter(pair: Pair) -> Iterator[Exporter]:
    exporter = Exporter(pair)
    yield exporter
    exporter.stop()


@pytest.mark.newest_only
@pytest.mark.parametrize(("model", "key"), [("SlugUser", "text"), ("PositiveUser", "int")])
def test_keys_of_other_fields_are_served(bench: Bench, pair: Pair, kind: str, model: str, key: str) -> None:
    settings = SITES["plain"] | {"AUTH_USER_MODEL": f"accounts.{model}"}
    url = bench.migrated_url(pair, kind, settings)
    done = export(pair, url, settings)
    assert f'AUTH_USER_PK_TYPE = "{key}"' in done.stdout, done.stderr
    path = bench.log("exported").with_suffix(".toml")
    path.write_text(done.stdout)
    checked = run_binary("check", "--settings", path, url=url)
    assert (checked.returncode, checked.stderr) == (0, "")


@SQLITE
@pytest.mark.newest_only
@pytest.mark.parametrize("site", PATHS.values(), ids=PATHS)
def test_what_is_refused_is_named_by_its_python_path(
    bench: Bench, pair: Pair, kind: str, site: Site, exporter: Exporter
) -> None:
    url = bench.migrated_url(pair, kind)
    done = exporter.export(url, site.settings)
    assert done.returncode == 0, done.stderr
    file = tomllib.loads(done.stdout)
    assert sorted(line.split(": ")[0] for line in file.get("REFUSALS", [])) == sorted(site.refused)
    assert site.told.items() <= file.items()
    path = bench.log("exported").with_suffix(".toml")
    path.write_text(done.stdout)
    checked = run_binary("check", "--settings", path, url=url)
    refusals = [line for line in checked.stderr.splitlines() if "REFUSALS" in line]
    prefix = f"Error in the settings: REFUSALS ({path}): "
    assert refusals == [prefix + line for line in file.get("REFUSALS", [])]
    assert checked.returncode == (2 if site.refused else 0), checked.stderr


@SQLITE
def test_every_pair_writes_a_file_that_the_service_starts_with(bench: Bench, pair: Pair, kind: str) -> None:
    url = bench.migrated_url(pair, kind)
    done = export(pair, url, SITES["plain"], DJANGO_SETTINGS_MODULE="project.settings")
    assert (done.returncode, done.stderr) == (0, "")
    file = tomllib.loads(done.stdout)
    assert {name: file[name] for name in ("DJANGO_VERSION", "DRF_VERSION")}.items() <= pair.versions().items()
    assert file["PYTHON_VERSION"].startswith(pair.versions()["PYTHON_VERSION"] + ".")


@pytest.mark.newest_only
def test_every_other_django_tells_the_same_but_for_its_versions(pair: Pair, exporter: Exporter) -> None:
    """Django 4.2, 5.2 and 6.1 are compared in all; of those between them scripts/test has what exports."""
    others = pairs("export")
    assert [other.django for other in others] == ["6.0", "5.1", "5.0"], (
        "scripts/test makes their environments"
    )
    url = "sqlite:////site.sqlite3"
    here = without_versions(exporter.export(url, SITES["plain"]).stdout)
    for other in others:
        done = export(other, url, SITES["plain"])
        assert (done.returncode, done.stderr) == (0, "")
        file = tomllib.loads(done.stdout)
        assert file["DJANGO_VERSION"].startswith(f"{other.django}.")
        assert without_versions(done.stdout) == here


def test_a_drf_that_does_not_exempt_its_views_from_a_login_is_refused() -> None:
    """DRF 3.15 knows nothing of the middleware that Django has since 5.1."""
    behind = SITES["plain"] | {"MIDDLEWARE": [*SESSIONS, LOGIN_REQUIRED]}
    refused = {}
    for other in pairs("export")[:2]:
        file = tomllib.loads(export(other, "sqlite:////site.sqlite3", behind).stdout)
        refused[file["DRF_VERSION"]] = {line.split(": ")[0] for line in file.get("REFUSALS", [])}
    assert refused.pop("3.15.2") == {LOGIN_REQUIRED}
    assert list(refused.values()) == [set()]


def without_versions(text: str) -> dict[str, Any]:
    return {name: value for name, value in tomllib.loads(text).items() if not name.endswith("_VERSION")}


SECRETS = {
    "DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/name",
    "DATABASE_REPLICA_URL": "postgres://u:hunter3@127.0.0.1:2/name",
    "SECRET_KEY": "first key",
    "SECRET_KEY_FALLBACKS": ["former key"],
}


@pytest.mark.newest_only
def test_the_head_of_the_file_names_each_secret_in_it(pair: Pair, exporter: Exporter) -> None:
    """All of them, none, and a site without former keys."""
    replica = {
        "REPLICA_URL": SECRETS["DATABASE_REPLICA_URL"],
        "DATABASE_ROUTERS": ["project.odd.ReadReplica"],
    }
    keys = {name: SECRETS[name] for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS")}
    sites: list[tuple[str, dict[str, Any], set[str]]] = [
        (str(SECRETS["DATABASE_URL"]), SITES["drf-defaults"] | replica | keys, set(SECRETS)),
        ("sqlite:////site.sqlite3", SITES["plain"], set()),
        (
            "postgres://u@127.0.0.1:1/name",
            SITES["drf-defaults"] | {"SECRET_KEY_FALLBACKS": []},
            {"SECRET_KEY"},
        ),
    ]
    for url, settings, expected in sites:
        text = exporter.export(url, settings).stdout
        head = [line for line in text.splitlines() if line.startswith("# Keep this file secret.")]
        assert set(re.findall(r"[A-Z_]{3,}", " ".join(head))) == expected
        held = {name for name, value in SECRETS.items() if all(one in text for one in flat(value))}
        assert held <= expected, text


def flat(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def test_a_database_is_told_with_all_its_signs(bench: Bench, pair: Pair) -> None:
    url = "postgres://us%40er:p%2Fa%22s%25s%3Aw%C3%B6rd@127.0.0.1:1/na%20me"
    done = export(pair, url, SITES["plain"])
    assert tomllib.loads(done.stdout)["DATABASE_URL"] == url
    assert "p/a" not in done.stderr


def test_a_pooler_by_transactions_is_told(bench: Bench, pair: Pair) -> None:
    """Django's documentation wants this setting behind one."""
    url = "postgres://u:p@127.0.0.1:1/name"
    for pooled in (True, False):
        settings = SITES["plain"] | {"DISABLE_SERVER_SIDE_CURSORS": pooled}
        told = tomllib.loads(export(pair, url, settings).stdout)
        assert told.get("DATABASE_TRANSACTION_POOLING", False) is pooled


def test_the_replica_of_which_the_site_reads_tokens_is_told(bench: Bench, pair: Pair) -> None:
    """Another one is a remark: with it a token would work on after its end, as it does not at the site."""
    replica = "postgres://u:p@127.0.0.1:2/name"
    settings = SITES["plain"] | {"REPLICA_URL": replica}
    for routers, told in (([], None), (["project.odd.ReadReplica"], replica)):
        url = "postgres://u:p@127.0.0.1:1/name"
        done = export(pair, url, settings | {"DATABASE_ROUTERS": routers})
        file = tomllib.loads(done.stdout)
        assert (file["DATABASE_URL"], file.get("DATABASE_REPLICA_URL")) == (url, told), done.stderr
        assert ("DATABASE_REPLICA_URL" in done.stderr) is (told is None)


def constants() -> Any:
    """The script as a module; it imports Django only when it runs."""
    spec = importlib.util.spec_from_file_location("export_settings", EXPORT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_and_the_service_know_the_same_settings() -> None:
    script = constants()
    rows = readme.README.read_text().split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0]
    ours = {row.split("`")[1] for row in rows.splitlines()[2:]}
    assert set(script.SERVED) <= ours
    assert not set(script.UNSERVED) & ours, "what is served now is refused no more"


@SQLITE
@pytest.mark.newest_only
def test_all_languages_of_django_take_little_memory(bench: Bench, pair: Pair, kind: str) -> None:
    kib = {}
    for site in ("plain", "locale"):
        url = bench.migrated_url(pair, kind)
        with start_exported(pair, url, SITES[site], bench.log("ours")) as service:
            assert simple(service.address, "GET", "/secret/").status == 401
            status = (f"/proc/{service.process.child.pid}/status", "VmRSS:")
            with open(status[0]) as lines:
                kib[site] = next(int(line.split()[1]) for line in lines if line.startswith(status[1]))
    assert kib["locale"] - kib["plain"] < 4096, kib
