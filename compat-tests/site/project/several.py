"""Paths of a site that has its login several times, under a prefix, and moves from Token to Bearer."""

from django.urls import include, path, re_path
from rest_framework.authtoken.views import ObtainAuthToken, obtain_auth_token

api = [
    re_path(r"^token/?$", obtain_auth_token),
    path("login.json", ObtainAuthToken.as_view()),
]
urlpatterns = [path("api/v1/", include(api)), path("api-token-auth/", obtain_auth_token)]
