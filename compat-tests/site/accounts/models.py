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


class Named(BaseUserManager):
    """Has its own way to find a user by the name of a login."""

    def get_by_natural_key(self, username):
        return self.get(email__iexact=username)


class OwnUser(AbstractBaseUser):
    """Does itself what AbstractBaseUser would do."""

    email = models.EmailField(unique=True)
    objects = Named()
    USERNAME_FIELD = "email"

    class Meta:
        swappable = "AUTH_USER_MODEL"

    @property
    def is_active(self):
        return self.last_login is not None

    def check_password(self, raw_password):
        return raw_password == self.password

    def set_password(self, raw_password):
        self.password = raw_password

    def get_username(self):
        return self.email.lower()

    def get_session_auth_hash(self):
        return self.password


class Lowered(models.CharField):
    """A field of the site's own."""

    def get_prep_value(self, value):
        return super().get_prep_value(value).lower()


class OddUser(AbstractBaseUser):
    """A key, a name and a column that the service does not take."""

    key = models.GenericIPAddressField(primary_key=True, db_column='a"b')
    name = Lowered(max_length=150, unique=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"
        db_table = 'a"."b"."c'


class KeylessUser(AbstractBaseUser):
    """Nobody has a password."""

    name = models.CharField(max_length=150, unique=True)
    password = None
    objects = BaseUserManager()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"


class SlugUser(AbstractBaseUser):
    """A slug as key."""

    name = models.SlugField(primary_key=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"


class PositiveUser(AbstractBaseUser):
    """A number as key that Django does not count itself."""

    number = models.PositiveIntegerField(primary_key=True)
    name = models.TextField(unique=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "name"

    class Meta:
        swappable = "AUTH_USER_MODEL"
