"""User models of sites that have one of their own; AUTH_USER_MODEL chooses, the others have no table then."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import connection, models


class EmailUser(AbstractBaseUser):
    """An e-mail address to log in with, a UUID as key, and columns with other names than their fields."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, db_column="uid")
    email = models.EmailField(unique=True, max_length=254, db_column="e_mail")
    password = models.CharField(max_length=128, db_column="password_hash")
    is_active = models.BooleanField(default=True, db_column="active")
    objects = BaseUserManager()
    USERNAME_FIELD = EMAIL_FIELD = "email"

    class Meta:
        swappable = "AUTH_USER_MODEL"
        db_table = "Email Users"


class NumberUser(AbstractBaseUser):
    """A bigint as key, in a schema of its own where the database has schemas."""

    id = models.BigAutoField(primary_key=True)
    username = models.CharField(max_length=150, unique=True)
    is_active = models.BooleanField(default=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "username"

    class Meta:
        swappable = "AUTH_USER_MODEL"
        db_table = 'accounts"."user' if connection.vendor == "postgresql" else "accounts_user"


class BareUser(AbstractBaseUser):
    """As little as AbstractBaseUser asks for: everybody is active."""

    name = models.CharField(max_length=150, unique=True, primary_key=True)
    last_login = None
    objects = BaseUserManager()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"


class Visible(models.QuerySet):
    """Does not find everybody."""

    def get(self, *args, **kwargs):
        return super().exclude(name="hidden").get(*args, **kwargs)


class HiddenUser(AbstractBaseUser):
    """Users of whom Django's manager, whose own methods are Django's, does not find all."""

    name = models.CharField(max_length=150, unique=True)
    objects = BaseUserManager.from_queryset(Visible)()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"
