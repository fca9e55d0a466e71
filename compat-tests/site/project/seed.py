"""The two paths that our service takes over."""

from django.conf import settings
from django.urls import path
from rest_framework.authtoken.views import obtain_auth_token

from project.views import secret

urlpatterns = [
    path(settings.SECRET_PATH[1:], secret),
    path(settings.LOGIN_PATH[1:], obtain_auth_token),
]
