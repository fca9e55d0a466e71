#!/usr/bin/env python3
"""Writes the settings file of drf-authtoken from a Django project: its settings, URLs, models and texts.

In the project's folder, with the project's Python:

    python /path/to/export_settings.py > drf-authtoken.toml

The settings module is DJANGO_SETTINGS_MODULE, or the one that manage.py names. The file goes to standard output,
remarks to standard error. Its head names the secrets that are in it, the database's password say, and where there is
SessionAuthentication SECRET_KEY: keep it as you keep the project's settings.
What the site does and the service cannot is a line of REFUSALS, and the service does not start with one.
"""

import inspect
import json
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

# Every text that an answer can hold; the catalogues are asked for these and no others.
MESSAGES = (
    "Authentication credentials were not provided.",
    "You do not have permission to perform this action.",
    "Not found.",
    'Method "{method}" not allowed.',
    "Could not satisfy the request Accept header.",
    'Unsupported media type "{media_type}" in request.',
    "Invalid token header. No credentials provided.",
    "Invalid token header. Token string should not contain spaces.",
    "Invalid token header. Token string should not contain invalid characters.",
    "Invalid token.",
    "User inactive or deleted.",
    "Invalid basic header. No credentials provided.",
    "Invalid basic header. Credentials string should not contain spaces.",
    "Invalid basic header. Credentials not correctly base64 encoded.",
    "Invalid username/password.",
    "Unable to log in with provided credentials.",
    "Invalid data. Expected a dictionary, but got {datatype}.",
    "This field is required.",
    "This field may not be null.",
    "This field may not be blank.",
    "Not a valid string.",
    "Null characters are not allowed.",
    "Surrogate characters are not allowed: U+{code_point:X}.",
    "Username",
    "Password",
    "Token",
)

# Django's settings that the service has under the same name.
SERVED = (
    "ALLOWED_HOSTS",
    "APPEND_SLASH",
    "PREPEND_WWW",
    "FORCE_SCRIPT_NAME",
    "USE_X_FORWARDED_HOST",
    "USE_X_FORWARDED_PORT",
    "SECURE_SSL_REDIRECT",
    "SECURE_SSL_HOST",
    "SECURE_REDIRECT_EXEMPT",
    "SECURE_PROXY_SSL_HEADER",
    "SECURE_HSTS_SECONDS",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "SECURE_HSTS_PRELOAD",
    "SECURE_CONTENT_TYPE_NOSNIFF",
    "SECURE_REFERRER_POLICY",
    "SECURE_CROSS_ORIGIN_OPENER_POLICY",
    "X_FRAME_OPTIONS",
    "DATA_UPLOAD_MAX_MEMORY_SIZE",
    "DATA_UPLOAD_MAX_NUMBER_FIELDS",
    "DATA_UPLOAD_MAX_NUMBER_FILES",
    "USE_I18N",
    "LANGUAGE_CODE",
    "LANGUAGE_COOKIE_NAME",
)
# Settings that change answers and that the service has not: only Django's default will do.
UNSERVED = (
    "DEFAULT_CHARSET",
    "FILE_UPLOAD_HANDLERS",
)
UNSERVED_DRF = (
    "DEFAULT_METADATA_CLASS",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS",
    "DEFAULT_VERSIONING_CLASS",
    "EXCEPTION_HANDLER",
    "NON_FIELD_ERRORS_KEY",
    "UNICODE_JSON",
    "COMPACT_JSON",
    "STRICT_JSON",
    "VIEW_NAME_FUNCTION",
    "VIEW_DESCRIPTION_FUNCTION",
)
TOKEN_AUTHENTICATION = "rest_framework.authentication.TokenAuthentication"
BASIC_AUTHENTICATION = "rest_framework.authentication.BasicAuthentication"
SESSION_AUTHENTICATION = "rest_framework.authentication.SessionAuthentication"
AUTHENTICATION = (TOKEN_AUTHENTICATION, BASIC_AUTHENTICATION, SESSION_AUTHENTICATION)
SESSION_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION_MIDDLEWARE = "django.contrib.auth.middleware.AuthenticationMiddleware"
# Settings that the service has for the sake of sessions, and those of which it knows one value.
SERVED_WITH_SESSIONS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SAMESITE",
    "CSRF_COOKIE_NAME",
    "CSRF_COOKIE_DOMAIN",
    "CSRF_HEADER_NAME",
    "CSRF_TRUSTED_ORIGINS",
)
UNSERVED_WITH_SESSIONS = ("SESSION_ENGINE", "SESSION_SERIALIZER", "SESSION_SAVE_EVERY_REQUEST", "CSRF_USE_SESSIONS")
LOCALE_MIDDLEWARE = "django.middleware.locale.LocaleMiddleware"
LOGIN_REQUIRED_MIDDLEWARE = "django.contrib.auth.middleware.LoginRequiredMiddleware"
MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    SESSION_MIDDLEWARE,
    LOCALE_MIDDLEWARE,
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    AUTHENTICATION_MIDDLEWARE,
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)
# They touch no answer of a token endpoint.
MIDDLEWARE_WITHOUT_EFFECT = (
    "django.contrib.admindocs.middleware.XViewMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
    "django.contrib.sites.middleware.CurrentSiteMiddleware",
    "django.middleware.common.BrokenLinkEmailsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
)
LANGUAGE_FALLBACKS = {
    "zh-cn": ["zh-hans"],
    "zh-hk": ["zh-hant"],
    "zh-mo": ["zh-hant"],
    "zh-my": ["zh-hans"],
    "zh-sg": ["zh-hans"],
    "zh-tw": ["zh-hant"],
}
POSTGRES_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "options")
# They concern the connection of a Django process alone.
CONNECTION_OPTIONS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "pool",
    "server_side_binding",
    "timeout",
    "init_command",
    "transaction_mode",
)

# Fields that a user's primary key may be, and what the service calls them.
KEY_TYPES = {
    "AutoField": "int",
    "SmallAutoField": "int",
    "IntegerField": "int",
    "SmallIntegerField": "int",
    "PositiveIntegerField": "int",
    "PositiveSmallIntegerField": "int",
    "BigAutoField": "bigint",
    "BigIntegerField": "bigint",
    "PositiveBigIntegerField": "bigint",
    "UUIDField": "uuid",
    "CharField": "text",
    "SlugField": "text",
    "TextField": "text",
}

# Settings that a file may hold and that nobody else may read, and what each of them is.
SECRETS = {
    "DATABASE_URL": "the database's password",
    "DATABASE_REPLICA_URL": "that of its replica",
    "SECRET_KEY": "it signs sessions",
    "SECRET_KEY_FALLBACKS": "they have signed some",
}

LEAVE = "leave the token endpoints with Django, or remove this line if it does not matter to you"


class Export:
    """What was found."""

    def __init__(self):
        self.settings = {}
        self.messages = {}
        self.refusals = []
        self.remarks = []

    def refuse(self, where, what, remedy=LEAVE):
        """The site does what the service cannot."""
        line = "%s: %s; %s" % (where, what, remedy)
        if line not in self.refusals:
            self.refusals.append(line)

    def remark(self, text):
        """Worth knowing, and no answer depends on it."""
        self.remarks.append(text)


# --- what the site is ---------------------------------------------------------------------------


def path_of(thing):
    """The Python path of a class or function; DRF makes a class of its own of a function."""
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    return "%s.%s" % (thing.__module__, thing.__name__ if name == "WrappedAPIView" else name)


def is_theirs(thing):
    """Whether Django or DRF wrote it."""
    return (getattr(thing, "__module__", None) or "").split(".")[0] in ("django", "rest_framework")


def overridden(cls, names):
    """Those of these names that a class has from somebody else than Django or DRF."""
    for name in names:
        found = inspect.getattr_static(cls, name, None)
        found = getattr(found, "__func__", found)
        owner = next((one for one in cls.__mro__ if name in vars(one)), None)
        if owner and not (is_theirs(owner) and (not callable(found) or is_theirs(found))):
            yield name


def versions(export):
    """Which behaviour is the site's."""
    import django
    import rest_framework

    export.settings["DJANGO_VERSION"] = "%d.%d.%d" % django.VERSION[:3]
    export.settings["DRF_VERSION"] = rest_framework.VERSION
    export.settings["PYTHON_VERSION"] = "%d.%d.%d" % sys.version_info[:3]


def plain_settings(export):
    """Django's and DRF's settings under their own names."""
    from django.conf import global_settings, settings
    from rest_framework.settings import DEFAULTS, api_settings

    for name in SERVED:
        value = getattr(settings, name)
        if name == "SECURE_PROXY_SSL_HEADER":
            value = list(value or ())
        elif name == "SECURE_REDIRECT_EXEMPT":
            value = list(value)
        elif name == "SECURE_REFERRER_POLICY" and value and not isinstance(value, str):
            value = ",".join(value)
        export.settings[name] = "None" if value is None or value == "" else value
    export.settings["DISALLOWED_USER_AGENTS"] = [with_flags(one) for one in settings.DISALLOWED_USER_AGENTS]
    export.settings["URL_FORMAT_OVERRIDE"] = api_settings.URL_FORMAT_OVERRIDE or "None"
    for name in UNSERVED:
        value = getattr(settings, name)
        if value != getattr(global_settings, name):
            export.refuse("settings.%s" % name, "%r is not supported" % (value,))
    for name in UNSERVED_DRF:
        value = api_settings.user_settings.get(name, DEFAULTS[name])
        if value != DEFAULTS[name]:
            export.refuse("settings.REST_FRAMEWORK[%r]" % name, "%r is not supported" % (value,))
    if not settings.ALLOWED_HOSTS and not settings.DEBUG:
        export.refuse("settings.ALLOWED_HOSTS", "it is empty, and Django answers no host then", "name the hosts")
    if settings.DEBUG:
        export.remark("DEBUG is on: the service answers as Django does with DEBUG off")


def with_flags(pattern):
    """A compiled regular expression as one text."""
    flags = ((re.I, "i"), (re.M, "m"), (re.S, "s"), (re.X, "x"))
    letters = "".join(letter for flag, letter in flags if pattern.flags & flag)
    # Those that the text itself sets stand in it already.
    return "(?%s)%s" % (letters, pattern.pattern) if letters else pattern.pattern


def middleware(export):
    """MIDDLEWARE without what has no effect here."""
    from django.conf import settings

    export.settings["MIDDLEWARE"] = []
    for path in settings.MIDDLEWARE:
        if path in MIDDLEWARE:
            export.settings["MIDDLEWARE"].append(path)
        elif path == LOGIN_REQUIRED_MIDDLEWARE:
            # The views tell whether it has an effect on them.
            continue
        elif path in MIDDLEWARE_WITHOUT_EFFECT:
            export.remark("%s is left out: it changes no answer of a token endpoint" % path)
        else:
            export.refuse(path, "a middleware that the service does not know, which may change answers")


def error_pages(export):
    """Pages of the site's own where Django has built-in ones."""
    from django.conf import settings
    from django.template import TemplateDoesNotExist, loader
    from django.urls import get_resolver
    from django.views import defaults

    resolver = get_resolver()
    # DRF answers what is forbidden in its views; of Django's own refusals this one is in front of them.
    statuses = (400, 403, 404, 500) if settings.DISALLOWED_USER_AGENTS else (400, 404, 500)
    for status in statuses:
        handler = resolver.resolve_error_handler(status)
        # The service's own.
        if path_of(handler) == "rest_framework.exceptions.server_error":
            continue
        if handler.__module__ != defaults.__name__:
            export.refuse(path_of(handler), "handler%d is the site's own" % status)
        try:
            loader.get_template("%d.html" % status)
        except TemplateDoesNotExist:
            continue
        except Exception as error:
            export.remark("%d.html cannot be read: %s" % (status, error))
        if status in (400, 403):
            what = "bad requests" if status == 400 else "DISALLOWED_USER_AGENTS"
            where = "%d.html" % status
            export.refuse(where, "the site has a template for %s, the service Django's built-in page" % what)
        elif status == 404:
            export.remark("404.html is not read: the service answers with Django's built-in page")
        else:
            export.remark("500.html is not read: the service answers its own faults in JSON")


def database(export):
    """The connection on which the tokens are."""
    from django.contrib.auth import get_user_model
    from django.db import connections, router
    from rest_framework.authtoken.models import Token

    alias = router.db_for_write(Token)
    if router.db_for_write(get_user_model()) != alias:
        export.refuse("settings.DATABASE_ROUTERS", "users and tokens are in two databases")
        return
    connection = connections[alias]
    if connection.vendor == "sqlite":
        url = sqlite_url(export, connection)
    elif connection.vendor == "postgresql":
        url = postgres_url(export, connection)
        # What Django wants of a site behind such a pooler.
        if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            export.settings["DATABASE_TRANSACTION_POOLING"] = True
    else:
        url = export.refuse(
            "settings.DATABASES[%r]" % alias, "%s is not supported; PostgreSQL and SQLite are" % connection.vendor
        )
    if url:
        export.settings["DATABASE_URL"] = url
    if url and connection.vendor == "postgresql":
        replicas(export, alias, router.db_for_read(Token))


def replicas(export, alias, read):
    """The replica of which the site reads tokens; of another one a word, for the site does not take its lag."""
    from django.db import connections

    mirrors = [one for one in connections if (connections[one].settings_dict.get("TEST") or {}).get("MIRROR") == alias]
    for one in dict.fromkeys([read, *mirrors]):
        connection = connections[one]
        if one == alias or connection.vendor != "postgresql":
            continue
        url = postgres_url(export, connection) if one == read else None
        if url and url != export.settings["DATABASE_URL"]:
            export.settings["DATABASE_REPLICA_URL"] = url
        elif one != read:
            export.remark(
                "DATABASES[%r] is a replica of which the site reads no tokens: DATABASE_REPLICA_URL could name it,"
                " if a token may work on for a moment after its end" % one
            )


def database_options(export, connection, known):
    """OPTIONS of which the service takes these."""
    options = dict(connection.settings_dict.get("OPTIONS") or {})
    where = "settings.DATABASES[%r]['OPTIONS']" % connection.alias
    for name in options:
        if name not in known and name not in CONNECTION_OPTIONS:
            export.refuse("%s[%r]" % (where, name), "this option is not supported")
    return {name: str(options[name]) for name in known if name in options}


def sqlite_url(export, connection):
    """`sqlite:////absolute/path`"""
    name = str(connection.settings_dict["NAME"])
    database_options(export, connection, ())
    if ":memory:" in name or name.startswith("file:"):
        return export.refuse("settings.DATABASES[%r]" % connection.alias, "%r is no file by its path" % name)
    if connection.timezone_name != "UTC":
        export.refuse("settings.USE_TZ", "times are stored in %s, the service writes UTC" % connection.timezone_name)
    return "sqlite:///" + quote(os.path.abspath(name))


def postgres_url(export, connection):
    """`postgres://user:password@host:port/name?sslmode=…`; a socket's folder is a quoted host."""
    told = connection.settings_dict
    options = database_options(export, connection, POSTGRES_OPTIONS)
    if not told["NAME"]:
        return export.refuse("settings.DATABASES[%r]" % connection.alias, "the database has no name here", "set NAME")
    host = told["HOST"] or os.environ.get("PGHOST")
    if not host:
        host = "/var/run/postgresql"
        export.remark("DATABASES has no HOST: %s is taken, the socket's folder on most systems" % host)
    if "," in host:
        return export.refuse("settings.DATABASES[%r]" % connection.alias, "several hosts are not supported")
    if options.get("sslmode") == "require" and "sslrootcert" in options:
        # To libpq that is the same; to the service `require` checks nothing.
        options = {**options, "sslmode": "verify-ca"}
    if host.startswith("/"):
        # libpq speaks no TLS there, whatever is asked for.
        options = {name: value for name, value in options.items() if not name.startswith("ssl")}
    user = quote(told["USER"], safe="")
    if told["PASSWORD"]:
        user += ":" + quote(told["PASSWORD"], safe="")
    elif not told["HOST"].startswith("/"):
        export.remark("DATABASES has no PASSWORD: PGPASSWORD or ~/.pgpass must tell it to the service too")
    host = host if re.match(r"\[|[\w.-]+$", host) else "[%s]" % host if host.count(":") > 1 else quote(host, safe="")
    port = ":%s" % told["PORT"] if told["PORT"] else ""
    query = "?" + urlencode(options, quote_via=quote) if options else ""
    return "postgres://%s@%s%s/%s%s" % (user, host, port, quote(told["NAME"], safe=""), query)


# --- who may log in -----------------------------------------------------------------------------


def password_hashers(export):
    """PASSWORD_HASHERS by Django's own classes; of a subclass its parameters, where it is the first one."""
    from django.contrib.auth import hashers as django_hashers
    from django.contrib.auth.hashers import get_hashers

    export.settings["PASSWORD_HASHERS"] = []
    for place, hasher in enumerate(get_hashers()):
        cls = type(hasher)
        base = next((one for one in cls.__mro__ if one.__module__ == django_hashers.__name__), None)
        fixed = [name for name in ("algorithm", "digest", "library") if hasattr(base, name)]
        own = [name for name in dir(base) if not name.startswith("__") and name not in fixed]
        methods = [name for name in own if callable(getattr(base, name))]
        changed = list(overridden(cls, methods)) if base else []
        changed += [name for name in fixed if getattr(cls, name) != getattr(base, name)]
        if not base or not getattr(base, "algorithm", None) or changed:
            export.refuse(
                path_of(cls), "a password hasher of the site's own (%s)" % (", ".join(changed) or "all of it")
            )
            continue
        export.settings["PASSWORD_HASHERS"].append(path_of(base))
        # Of the others nothing but the stored hash counts.
        if place == 0:
            hasher_parameters(export, cls, base)


def hasher_parameters(export, cls, base):
    """What new hashes cost."""
    for name in ("iterations", "rounds", "time_cost", "memory_cost", "parallelism", "work_factor", "block_size"):
        ours, djangos = getattr(cls, name, None), getattr(base, name, None)
        if ours == djangos:
            continue
        if name == "iterations":
            export.settings["PBKDF2_ITERATIONS"] = ours
        else:
            export.refuse("%s.%s" % (path_of(cls), name), "%r is not supported, %r is" % (ours, djangos))
    if getattr(cls, "salt_entropy", 128) != 128:
        export.refuse("%s.salt_entropy" % path_of(cls), "%r is not supported, 128 is" % cls.salt_entropy)


def backends(export):
    """AUTHENTICATION_BACKENDS: ModelBackend, and what never answers a user name and a password."""
    from django.conf import settings
    from django.contrib.auth.backends import BaseBackend, ModelBackend
    from django.utils.module_loading import import_string

    has_model_backend = False
    for path in settings.AUTHENTICATION_BACKENDS:
        cls = import_string(path)
        authenticate = inspect.getattr_static(cls, "authenticate", None)
        if authenticate is None or authenticate is vars(BaseBackend)["authenticate"]:
            continue
        if authenticate is vars(ModelBackend)["authenticate"]:
            changed = list(overridden(cls, ("authenticate", "user_can_authenticate", "get_user")))
            if not changed and cls.user_can_authenticate is ModelBackend.user_can_authenticate:
                has_model_backend = True
                continue
            export.refuse(path, "an authentication backend that lets in others than ModelBackend does")
            continue
        try:
            # Django does not ask a backend that cannot take these.
            inspect.signature(cls().authenticate).bind(None, username="", password="")
        except TypeError:
            export.remark("%s is left out: it takes no user name and password" % path)
            continue
        export.refuse(path, "an authentication backend of the site's own")
    if not has_model_backend:
        export.refuse("settings.AUTHENTICATION_BACKENDS", "there is no django.contrib.auth.backends.ModelBackend")


def user_model(export):
    """AUTH_USER_MODEL, whose table the service reads."""
    from django.contrib.auth import get_user_model

    model = get_user_model()
    where, meta = path_of(model), model._meta
    fields = {field.name: field for field in meta.concrete_fields}
    name = fields.get(model.USERNAME_FIELD)
    active, password = fields.get("is_active"), fields.get("password")
    for field, kinds in (
        (meta.pk, KEY_TYPES),
        (name, ("CharField", "EmailField", "TextField", "SlugField")),
        (password, ("CharField", "TextField")),
        (active, ("BooleanField",)),
    ):
        if field is not None and (not is_theirs(type(field)) or field.get_internal_type() not in kinds):
            export.refuse("%s.%s" % (where, field.name), "a field of %s is not supported" % path_of(type(field)))
    if name is None or password is None:
        export.refuse(where, "USERNAME_FIELD or the password is no column of its table")
        return
    table_setting(export, "AUTH_USER_TABLE", model)
    for setting, field in (
        ("AUTH_USER_PK_COLUMN", meta.pk),
        ("AUTH_USER_USERNAME_COLUMN", name),
        ("AUTH_USER_PASSWORD_COLUMN", password),
        ("AUTH_USER_IS_ACTIVE_COLUMN", active),
    ):
        export.settings[setting] = field.column if field else "None"
        if field and '"' in field.column:
            export.refuse("%s.%s" % (where, field.name), "the column %r has a quote in its name" % field.column)
    export.settings["AUTH_USER_PK_TYPE"] = KEY_TYPES.get(meta.pk.get_internal_type(), "bigint")
    # Without a column it is the class attribute that all users have.
    if not active and model.is_active is not True:
        export.refuse("%s.is_active" % where, "it is the site's own")
    for method in overridden(model, ("check_password", "set_password", "get_username", "password")):
        if method in fields and is_theirs(type(fields[method])):
            continue
        export.refuse("%s.%s" % (where, method), "it is the site's own")
    manager = type(model._default_manager)
    for method in overridden(manager, ("get_by_natural_key", "get_queryset", "get", "filter")):
        export.refuse("%s.%s" % (path_of(manager), method), "the site looks users up in its own way")
    # A manager made from a queryset has its own methods from it, but not those that a manager has already.
    queryset = getattr(model._default_manager, "_queryset_class", None)
    for method in overridden(queryset, ("__init__", "get", "filter")) if queryset else ():
        export.refuse("%s.%s" % (path_of(queryset), method), "the site looks users up in its own way")


def table_setting(export, setting, model):
    """A table's name; of PostgreSQL perhaps with its schema, which sites put between the quotes that Django sets."""
    table = model._meta.db_table
    parts = table.strip('"').split('"."')
    if len(parts) > 2 or any(re.search(r'[".]', part) for part in parts):
        export.refuse(path_of(model), "the table's name %r is not supported" % table)
    else:
        export.settings[setting] = ".".join(parts)


def tokens(export):
    """The token model, and who wants to be told when a token is made or a login fails."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.signals import user_login_failed
    from django.db.models import signals
    from rest_framework.authtoken.models import Token

    columns = {field.name: field.column for field in Token._meta.concrete_fields}
    wanted = {"key": "key", "user": "user_id", "created": "created"}
    if columns != wanted:
        export.refuse(path_of(Token), "its columns are not those that DRF makes")
    table_setting(export, "AUTHTOKEN_TABLE", Token)
    for signal, name, sender in (
        (signals.pre_save, "pre_save of a token", Token),
        (signals.post_save, "post_save of a token", Token),
        (user_login_failed, "user_login_failed", None),
    ):
        for receiver in receivers(signal, sender):
            export.refuse(path_of(receiver), "it is to be called at %s, and the service sends no signals" % name)
    for signal in (signals.pre_save, signals.post_save):
        for receiver in receivers(signal, get_user_model()):
            export.remark(
                "%s is not called when a login of the service stores a password hash anew" % path_of(receiver)
            )


def receivers(signal, sender):
    """Who of the site's own hears this signal; of any sender where there is none."""
    anybody = (id(None), id(sender))
    for (_, heard), receiver, *_ in signal.receivers:
        receiver = receiver() if hasattr(receiver, "__callback__") else receiver
        receiver = getattr(receiver, "__func__", receiver)
        if receiver is not None and (sender is None or heard in anybody) and not is_theirs(receiver):
            yield receiver


# --- what is served -----------------------------------------------------------------------------


def urls(export):
    """Each URL whose view is `obtain_auth_token` or a subclass of its class; and the secret view, if there is one."""
    from django.urls import get_resolver
    from rest_framework.authtoken.views import ObtainAuthToken

    found, secret, clients = [], [], {}
    for callback, pattern, paths in endpoints(get_resolver()):
        cls = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        is_login = inspect.isclass(cls) and issubclass(cls, ObtainAuthToken)
        if not is_login and not is_secret(cls):
            continue
        told = view(export, callback, cls) if is_login else secret_view(export, cls)
        clients[told] = path_of(cls)
        login_required(export, callback, cls)
        if paths is None:
            export.refuse(path_of(cls), "its URL %r is no fixed path" % pattern)
        (found if is_login else secret).extend(served(export, callback, paths))
    export.settings["SECRET_PATH"] = secret[0] if secret else "None"
    for other in secret[1:]:
        export.refuse(other, "the service has the secret view at one path, which is %r" % secret[0])
    if not found:
        export.refuse("settings.ROOT_URLCONF", "no URL has obtain_auth_token as its view")
        return
    export.settings["LOGIN_PATH"] = list(dict.fromkeys(found))
    ((classes, words), _), *others = clients.items()
    for other, where in others:
        export.refuse(where, "it has the classes and keywords %r, another view %r" % (other, (classes, words)))
    if classes:
        export.settings["DEFAULT_AUTHENTICATION_CLASSES"] = classes
    if SESSION_AUTHENTICATION in classes:
        sessions(export)
    if words:
        export.settings["TOKEN_KEYWORDS"] = words


def served(export, callback, paths):
    """Those of the paths that no other view answers."""
    from django.urls import Resolver404, resolve

    for path in paths or ():
        try:
            answers = resolve(path).func is callback
        except Resolver404:
            answers = False
        if answers:
            yield path
        else:
            export.remark("%s is left out: another view answers there" % path)


def login_required(export, callback, cls):
    """A middleware that sends whoever has no session to a page; DRF exempts its views from 3.16 on."""
    from django.conf import settings

    if LOGIN_REQUIRED_MIDDLEWARE in settings.MIDDLEWARE and getattr(callback, "login_required", True):
        remedy = "give the view login_required = False, as DRF does from 3.16 on, or " + LEAVE
        export.refuse(LOGIN_REQUIRED_MIDDLEWARE, "%s wants a session" % path_of(cls), remedy)


def is_secret(cls):
    """The view of the reference site, which the service has as well: `@api_view(["GET"])` of `secret`."""
    from rest_framework.permissions import IsAuthenticated

    return (
        getattr(cls, "__qualname__", None) == "WrappedAPIView"
        and cls.__name__ == "secret"
        and list(cls.permission_classes) == [IsAuthenticated]
        and set(cls.http_method_names) == {"get", "options"}
    )


def endpoints(resolver, prefix="", paths=("/",)):
    """Every view with its pattern, and its fixed paths or None where it has none."""
    for entry in resolver.url_patterns:
        ends = not hasattr(entry, "url_patterns")
        own = literals(entry.pattern, ends)
        here = None if paths is None or own is None else [one + more for one in paths for more in own]
        if ends:
            yield entry.callback, prefix + str(entry.pattern), here
        else:
            yield from endpoints(entry, prefix + str(entry.pattern), here)


def literals(pattern, ends):
    """The texts that a pattern matches, if they are few and fixed."""
    from django.urls.resolvers import RegexPattern, RoutePattern

    if isinstance(pattern, RoutePattern):
        route = pattern._route
        return [route] if isinstance(route, str) and not pattern.converters else None
    if not isinstance(pattern, RegexPattern) or not isinstance(pattern._regex, str):
        return None
    regex = pattern._regex
    is_fixed = regex.startswith("^") or not regex
    closed = re.sub(r"(\$|\\Z|\\z)$", "", regex)
    if ends and (closed == regex or not is_fixed) or not ends and not is_fixed:
        return None
    text = (closed if ends else regex).lstrip("^")
    optional = text.endswith("/?")
    text = re.sub(r"\\([^\w\s])", "\x00\\1", text[:-1] if optional else text)
    if re.search(r"(?<!\x00)[\\^$*+?{}\[\]|()]|(?<!\x00)\.", text):
        return None
    text = text.replace("\x00", "")
    return [text, text[:-1]] if optional else [text]


def view(export, callback, cls):
    """A login view must be DRF's own in all that is seen from outside."""
    from rest_framework.authtoken.views import ObtainAuthToken

    where = path_of(cls)
    for function in wrappers(callback):
        export.refuse(where, "it is wrapped by a function of %s" % function.__code__.co_filename)
    for name in sorted(getattr(callback, "initkwargs", {})):
        export.refuse(where, "as_view(%s=…) is not supported" % name)
    benign = ("authentication_classes", "schema")
    names = {name for one in cls.__mro__ for name in vars(one) if not name.startswith("__")}
    for name in sorted(names):
        ours, djangos = (inspect.getattr_static(one, name, None) for one in (cls, ObtainAuthToken))
        is_class_list = name.endswith("_classes") and list(ours or ()) == list(djangos or ())
        changed = ours is not djangos and not is_class_list
        if name not in benign and (changed or callable(ours) and not is_theirs(ours)):
            export.refuse("%s.%s" % (where, name), "it is the site's own")
    if cls().get_view_name() != ObtainAuthToken().get_view_name() or cls().get_view_description():
        export.refuse(where, "OPTIONS would tell another name or description")
    for name in ("permission_classes", "throttle_classes", "parser_classes", "renderer_classes"):
        for one in getattr(cls, name):
            if not is_theirs(one):
                export.refuse(path_of(one), "one of the %s of %s" % (name, where))
    return authentication_of(export, cls)


def secret_view(export, cls):
    """The secret view as the reference site has it."""
    from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
    from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

    where = path_of(cls)
    for name, wanted in (
        ("renderer_classes", [JSONRenderer, BrowsableAPIRenderer]),
        ("parser_classes", [JSONParser, FormParser, MultiPartParser]),
        ("throttle_classes", []),
    ):
        if list(getattr(cls, name)) != wanted:
            export.refuse("%s.%s" % (where, name), "the service has those of the reference site")
    return authentication_of(export, cls)


def authentication_of(export, cls):
    """The authentication classes of a view by DRF's names, and the keywords of those that take tokens."""
    where = path_of(cls)
    if not cls.authentication_classes:
        export.refuse(where, "it has no authentication_classes: it would serve whoever sends a bad token")
    names, keywords = [], []
    for one in cls.authentication_classes:
        base = next((base for base in AUTHENTICATION if base in map(path_of, one.__mro__)), None)
        if not base:
            export.refuse(path_of(one), "one of the authentication_classes of %s" % where)
            continue
        fixed = "keyword" if base == TOKEN_AUTHENTICATION else None
        own = {name for base in one.__mro__ if not is_theirs(base) and base is not object for name in vars(base)}
        changed = sorted(name for name in own if not name.startswith("__") and name != fixed)
        if changed:
            kind = base.rpartition(".")[2]
            export.refuse(path_of(one), "a %s of the site's own (%s)" % (kind, ", ".join(changed)))
        elif fixed and not re.match(r"[A-Za-z0-9-]+\Z", one.keyword):
            export.refuse(path_of(one), "the keyword %r is no word of ASCII letters" % one.keyword)
        else:
            names.append(base)
            keywords += [one.keyword] if fixed else []
    places = [place for place, name in enumerate(names) if name == TOKEN_AUTHENTICATION]
    if SESSION_AUTHENTICATION in names[places[0] : places[-1]] if places else False:
        export.refuse(where, "SessionAuthentication stands between two TokenAuthentications")
    if BASIC_AUTHENTICATION in names and "basic" in map(str.lower, keywords):
        export.refuse(where, "tokens and passwords have one keyword")
    # Two classes may have one keyword, in any case: the first one takes the header.
    words = {}
    for keyword in keywords:
        words.setdefault(keyword.lower(), keyword)
    return tuple(dict.fromkeys(names)), tuple(words.values())


def sessions(export):
    """What SessionAuthentication needs: the sessions of Django's database backend, and how they are signed."""
    from django.conf import global_settings, settings
    from django.contrib.auth import get_user_model
    from django.contrib.auth.backends import BaseBackend, ModelBackend
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.apps import apps
    from django.db import router
    from django.utils.module_loading import import_string
    from rest_framework.authtoken.models import Token

    for name in SERVED_WITH_SESSIONS:
        value = getattr(settings, name)
        export.settings[name] = "None" if value in (None, False, "") else value
    if str(settings.SESSION_COOKIE_SAMESITE or "").lower() == "none":
        export.refuse("settings.SESSION_COOKIE_SAMESITE", "a deleted cookie would lack SameSite=None and Secure")
    if not all(isinstance(key, str) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)):
        export.refuse("settings.SECRET_KEY", "it is no text")
    refused = not apps.is_installed("django.contrib.sessions")
    if refused:
        export.refuse("settings.INSTALLED_APPS", "SessionAuthentication needs django.contrib.sessions")
    for name in UNSERVED_WITH_SESSIONS:
        value = getattr(settings, name)
        if value != getattr(global_settings, name):
            refused = True
            export.refuse("settings.%s" % name, "%r is not supported with SessionAuthentication" % (value,))
    order = {path: place for place, path in enumerate(settings.MIDDLEWARE)}
    session = order.get(SESSION_MIDDLEWARE)
    if session is None or order.get(AUTHENTICATION_MIDDLEWARE, -1) < session:
        export.refuse(
            "settings.MIDDLEWARE", "SessionAuthentication needs SessionMiddleware before AuthenticationMiddleware"
        )
    elif (
        any(order.get(path, session) < session for path in (LOCALE_MIDDLEWARE, "django.middleware.common.CommonMiddleware"))
        or order.get("django.middleware.security.SecurityMiddleware", -1) > session
    ):
        export.refuse("settings.MIDDLEWARE", "SessionMiddleware stands elsewhere than in a new project")
    if not refused:
        from django.contrib.sessions.models import Session

        if router.db_for_read(Session) != router.db_for_write(Token):
            export.refuse("settings.DATABASE_ROUTERS", "sessions and tokens are in two databases")
    for method in overridden(get_user_model(), [name for name in vars(AbstractBaseUser) if "session_auth" in name]):
        export.refuse("%s.%s" % (path_of(get_user_model()), method), "it is the site's own")
    export.settings["AUTHENTICATION_BACKENDS"] = []
    for path in settings.AUTHENTICATION_BACKENDS:
        cls = import_string(path)
        get_user = inspect.getattr_static(cls, "get_user", None)
        if get_user is vars(BaseBackend)["get_user"]:
            continue
        is_djangos = get_user is vars(ModelBackend)["get_user"]
        if is_djangos and cls.user_can_authenticate is ModelBackend.user_can_authenticate:
            export.settings["AUTHENTICATION_BACKENDS"].append(path)
        else:
            export.refuse("%s.get_user" % path, "sessions of an authentication backend of the site's own")


def wrappers(callback):
    """The functions around a view that are not Django's own way to make one."""
    while callback is not None:
        code = getattr(callback, "__code__", None)
        expected = ("views/decorators/csrf.py", "views/generic/base.py")
        if code and not code.co_filename.replace(os.sep, "/").endswith(expected):
            yield callback
        callback = getattr(callback, "__wrapped__", None)


# --- its texts ----------------------------------------------------------------------------------


def languages(export):
    """LANGUAGES, and the texts of each as gettext finds them here."""
    from django.conf import settings
    from django.conf.locale import LANG_INFO
    from django.conf.urls.i18n import is_language_prefix_patterns_used
    from django.utils.translation import check_for_language, get_language_from_path

    chosen_by_request = LOCALE_MIDDLEWARE in settings.MIDDLEWARE
    codes = list(dict.fromkeys(code.lower() for code, _ in settings.LANGUAGES)) if chosen_by_request else []
    export.settings["LANGUAGES"] = codes
    if not settings.USE_I18N:
        return
    fallbacks = {code: info["fallback"] for code, info in LANG_INFO.items() if "fallback" in info}
    if chosen_by_request and fallbacks != LANGUAGE_FALLBACKS:
        export.refuse("django.conf.locale.LANG_INFO", "the site has other fallbacks between languages than Django")
    is_used, has_default_prefix = is_language_prefix_patterns_used(settings.ROOT_URLCONF)
    if chosen_by_request and is_used and not has_default_prefix:
        what = "i18n_patterns(prefix_default_language=False) gives LANGUAGE_CODE to every path without a prefix"
        export.refuse("settings.ROOT_URLCONF", what)
    for path in export.settings.get("LOGIN_PATH", ()):
        if chosen_by_request and is_used and get_language_from_path(path):
            export.refuse(path, "the path begins with the code of a language, which i18n_patterns takes for one")
    for code in codes:
        if check_for_language(code):
            export.messages[code] = texts(code)
    default = settings.LANGUAGE_CODE.lower()
    if default not in export.messages:
        export.messages[default] = texts(settings.LANGUAGE_CODE)


def texts(language):
    """What this language says in other words than the English ones."""
    from django.utils import translation

    with translation.override(language):
        found = {message: translation.gettext(message) for message in MESSAGES}
    return {message: text for message, text in found.items() if text != message}


# --- the file -----------------------------------------------------------------------------------


def toml(value):
    """A value of TOML. A basic string is one of JSON, but for DEL."""
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(toml(item) for item in value)
    if not isinstance(value, (bool, int)):
        value = str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def is_told(export, name):
    """Whether this secret is in the file; of a URL its password."""
    value = export.settings.get(name)
    if value and name.endswith("_URL"):
        return urlsplit(value).password is not None
    return bool(value) and value != "None"


def document(export):
    """The whole file."""
    lines = ["# Settings of drf-authtoken, read from a Django project by export_settings.py."]
    held = ["%s (%s)" % (name, what) for name, what in SECRETS.items() if is_told(export, name)]
    if held:
        lines += ["# Keep this file secret. It holds %s." % ", ".join(held)]
    if export.refusals:
        lines += ["", "# The service does not start while there are lines in this list.", "REFUSALS = ["]
        lines += ["    %s," % toml(refusal) for refusal in export.refusals]
        lines += ["]"]
    lines += [""] + ["%s = %s" % (name, toml(value)) for name, value in export.settings.items()]
    for language, messages in export.messages.items():
        lines += ["", "[MESSAGES.%s]" % toml(language)]
        lines += ["%s = %s" % (toml(message), toml(text)) for message, text in messages.items()]
    return "\n".join(lines) + "\n"


def set_up():
    """`django.setup()` of the project in this folder."""
    sys.path[0] = os.getcwd()
    if "DJANGO_SETTINGS_MODULE" not in os.environ and os.path.exists("manage.py"):
        text = Path("manage.py").read_text(encoding="utf-8")
        named = re.search(r"""DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", text)
        if named:
            os.environ["DJANGO_SETTINGS_MODULE"] = named[1]
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        sys.exit("Run this in the folder of manage.py, or set DJANGO_SETTINGS_MODULE.")
    import django

    django.setup()


def collect():
    """All of it."""
    export = Export()
    from django.apps import apps
    from django.conf import settings

    if not apps.is_installed("rest_framework.authtoken"):
        sys.exit("%s has no rest_framework.authtoken in INSTALLED_APPS." % settings.SETTINGS_MODULE)
    for part in (database, versions, plain_settings, middleware, error_pages, password_hashers, backends):
        part(export)
    for part in (user_model, tokens, urls, languages):
        part(export)
    return export


def main():
    """Prints the file; what the project prints goes elsewhere."""
    with redirect_stdout(sys.stderr):
        set_up()
        export = collect()
    for text in export.remarks:
        print("remark: %s" % text, file=sys.stderr)
    for text in export.refusals:
        print("refused: %s" % text, file=sys.stderr)
    sys.stdout.buffer.write(document(export).encode("utf-8"))


if __name__ == "__main__":
    main()
