"""What other sites do and the reference site does not; ODD in the settings names what is used."""

from django.conf import settings
from django.conf.locale import LANG_INFO
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    BCryptSHA256PasswordHasher,
    PBKDF2PasswordHasher,
    ScryptPasswordHasher,
)
from django.contrib.auth.signals import user_login_failed
from django.db.models.signals import post_save, pre_save
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import ObtainAuthToken, obtain_auth_token
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import exception_handler

from project.authentication import BearerAuthentication
from project.views import secret


class EmailBackend(ModelBackend):
    def authenticate(self, request, username=None, password=None, **kwargs):
        return super().authenticate(request, email=username, password=password, **kwargs)


class EverybodyBackend(ModelBackend):
    def user_can_authenticate(self, user):
        return True


class PermissionsBackend(BaseBackend):
    """Answers no password, so that it changes nothing."""

    def has_perm(self, user_obj, perm, obj=None):
        return False


class KeyBackend(BaseBackend):
    """Django never asks it for a user name and a password."""

    def authenticate(self, request, key):
        return None


class SessionBackend(BaseBackend):
    """Lets nobody in by a password, and finds users of its own."""

    def authenticate(self, request, key):
        return None

    def get_user(self, user_id):
        return None


class Serializer:
    """Sessions as pickles, say."""


class OwnHasher(PBKDF2PasswordHasher):
    algorithm = "own"

    def encode(self, password, salt, iterations=None):
        return "own$1$%s$%s" % (salt, password)


class DearArgon2(Argon2PasswordHasher):
    time_cost = 4
    memory_cost = 204800
    parallelism = 4


class DearBcrypt(BCryptSHA256PasswordHasher):
    rounds = 13


class DearScrypt(ScryptPasswordHasher):
    work_factor = 2**15
    block_size = 16
    parallelism = 2


class SaltyHasher(PBKDF2PasswordHasher):
    salt_entropy = 256


class Middleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response["X-Odd"] = "1"
        return response


class ReadReplica:
    """A router."""

    def db_for_read(self, model, **hints):
        return "replica"


class TwoDatabases:
    """A router: tokens, or sessions, are elsewhere than the rest."""

    def db_for_write(self, model, **hints):
        return "replica" if model._meta.label in settings.ELSEWHERE else "default"

    db_for_read = db_for_write


class Throttle(BaseThrottle):
    def allow_request(self, request, view):
        return False


class Permission(IsAuthenticated):
    message = "Not you."


class Renderer(JSONRenderer):
    media_type = "application/vnd.odd+json"


class Parser(JSONParser):
    media_type = "application/vnd.odd+json"


class ShortAuthentication(TokenAuthentication):
    def authenticate_credentials(self, key):
        return super().authenticate_credentials(key[:8])


class NobodyAuthentication(BaseAuthentication):
    def authenticate(self, request):
        return None


class Post(ObtainAuthToken):
    def post(self, request, *args, **kwargs):
        return Response({"key": "none"})


class Rendered(ObtainAuthToken):
    renderer_classes = [Renderer]


class Browsable(ObtainAuthToken):
    renderer_classes = [JSONRenderer, BrowsableAPIRenderer]


class Parsed(ObtainAuthToken):
    parser_classes = [Parser]


class Guarded(ObtainAuthToken):
    throttle_classes = [Throttle]
    permission_classes = [Permission]


class Bearer(ObtainAuthToken):
    authentication_classes = [BearerAuthentication]


class Short(ObtainAuthToken):
    authentication_classes = [ShortAuthentication]


class Session(ObtainAuthToken):
    authentication_classes = [TokenAuthentication, SessionAuthentication]


class Passwords(ObtainAuthToken):
    authentication_classes = [BasicAuthentication, TokenAuthentication]


class Nobody(ObtainAuthToken):
    authentication_classes = [NobodyAuthentication]


class Open(ObtainAuthToken):
    authentication_classes = []


class Described(ObtainAuthToken):
    """Logs in."""


# By its name it is DRF's own.
Same = type("ObtainAuthToken", (ObtainAuthToken,), {"__doc__": None, "__module__": __name__})


def handle(exc, context):
    return exception_handler(exc, context)


def name_of(view):
    return "View"


def description_of(view, html=False):
    return "A view."


def bad_request(request, exception):
    return Response({})


def server_error(request):
    return Response({})


def told(**kwargs):
    """A receiver of signals."""


login = path("api-token-auth/", obtain_auth_token)
# As DRF makes it up to 3.15.
not_exempt = ObtainAuthToken.as_view()
vars(not_exempt).pop("login_required", None)
NAMED = {
    name: path("api-token-auth/", view.as_view())
    for name, view in list(globals().items())
    if isinstance(view, type) and issubclass(view, ObtainAuthToken)
} | {
    "wrapped": path("api-token-auth/", never_cache(obtain_auth_token)),
    "login required": path("api-token-auth/", not_exempt),
    "initkwargs": path("api-token-auth/", ObtainAuthToken.as_view(throttle_classes=[])),
    "prefix": path("api/", include([re_path(r"^v1/token\.auth/?$", obtain_auth_token)])),
    "converter": path("<slug:tenant>/login/", obtain_auth_token),
    "open end": re_path("^api-token-auth/", obtain_auth_token),
    "hidden": path("", include([path("a/", told), path("a/", obtain_auth_token), login])),
    "none": path("a/", told),
    "code": path("de/login/", obtain_auth_token),
}
SECRETS = {
    "Passwords": [path("secret/", secret)],
    "two secrets": [path("secret/", secret), path("api/", include([path("secret/", secret)]))],
    "secret with an optional slash": [re_path(r"^secret/?$", secret)],
    "secret with a variable": [path("<slug:tenant>/secret/", secret)],
}
odd = getattr(settings, "ODD", "")
urlpatterns = [NAMED.get(odd, login)]
if odd in ("prefixed", "code", "default without prefix"):
    others = [login] if odd == "prefixed" else [path("a/", told)]
    urlpatterns = i18n_patterns(*others, prefix_default_language=odd != "default without prefix")
    urlpatterns += [] if odd == "prefixed" else [NAMED.get(odd, login)]
urlpatterns += SECRETS.get(odd, [])
if odd == "handlers":
    handler400 = handler403 = handler404 = bad_request
    handler500 = server_error
if odd == "handler of DRF":
    handler500 = "rest_framework.exceptions.server_error"
if odd == "signal":
    user_login_failed.connect(told)
if odd == "signals of tokens":
    pre_save.connect(told, sender=Token)
    post_save.connect(told)
if odd == "columns of tokens":
    Token._meta.get_field("created").column = "made"
if odd == "languages":
    LANG_INFO["de-at"] = {"fallback": ["de"]}
