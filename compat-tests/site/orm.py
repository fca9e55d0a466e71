"""Django's own hands on the database: one JSON order a line in, one JSON answer a line out.

The comparison runs outside of Django; where a test needs what Django itself would do to a row
(set a password, delete a token, judge a hash), it asks this process.
"""

import json
import os
import sys
import traceback

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from django.contrib.auth import get_user_model, login  # noqa: E402
from django.contrib.auth.hashers import check_password, make_password  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

User = get_user_model()


def named(username):
    """The condition that finds a user by the name of the login."""
    return {User.USERNAME_FIELD: username}


def create_user(username, password, **fields):
    return User.objects.create_user(username, password=password, **fields).pk


def join_groups(username, names):
    user = User.objects.get(**named(username))
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in names])


def create_superuser(username, password):
    return User.objects.create_superuser(username, password=password).pk


def set_password(username, password):
    user = User.objects.get(**named(username))
    user.set_password(password)
    user.save()
    return user.password


def update_user(username, **fields):
    """Columns of one user; `new_name` for the column that the user is found by."""
    if "new_name" in fields:
        fields["username"] = fields.pop("new_name")
    return User.objects.filter(**named(username)).update(**fields)


def delete_user(username):
    User.objects.get(**named(username)).delete()


def user(username):
    return User.objects.filter(**named(username)).values("password", "is_active").first()


def password(username):
    return User.objects.get(**named(username)).password


def create_token(username):
    return Token.objects.create(user=User.objects.get(**named(username))).key


def delete_token(username):
    return Token.objects.filter(user__in=User.objects.filter(**named(username))).delete()[0]


def tokens(username):
    return list(
        Token.objects.filter(user__in=User.objects.filter(**named(username))).values_list("key", flat=True)
    )


def log_in(username, **more):
    """What a log-in to the site's pages leaves with a browser, and the token of a form."""
    request = HttpRequest()
    request.session = SessionStore()
    request.session.update(more)
    backend = "django.contrib.auth.backends.ModelBackend"
    login(request, User.objects.get(**named(username)), backend=backend)
    request.session.save()
    shown = get_token(request)
    return {"session": request.session.session_key, "csrf": request.META["CSRF_COOKIE"], "shown": shown}


def log_out(session):
    SessionStore(session).flush()


def verify(password, encoded):
    return check_password(password, encoded)


def encode(password, hasher="default"):
    return make_password(password, hasher=hasher)


ORDERS = {
    order.__name__: order
    for order in (
        create_user, join_groups, create_superuser, set_password, update_user, delete_user, user,
        password,
        create_token, delete_token, tokens, log_in, log_out, verify, encode,
    )
}  # fmt: skip


def main():
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"value": ORDERS[order.pop("do")](**order)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        # Nothing may stay open between orders: the next one sees what others wrote.
        connection.close()
        print(json.dumps(answer), flush=True)


main()
