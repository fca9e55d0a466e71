"""Paths of the reference site."""

from django.conf import settings
from django.urls import path
from rest_framework.authtoken.views import obtain_auth_token

from project.views import secret, staff, whoami

urlpatterns = [
    path("secret/", secret),
    path("staff/", staff),
    path("whoami/", whoami),
    path("whoami/staff/", whoami),
    path("public/", whoami),
    path("api-token-auth/", obtain_auth_token),
]
if not settings.BARE:
    from django.contrib import admin

    urlpatterns.append(path("admin/", admin.site.urls))
