"""Paths of the reference site."""

from django.conf import settings
from django.urls import path

from project.seed import urlpatterns as seed
from project.views import staff, whoami

urlpatterns = [
    *seed,
    path("staff/", staff),
    path("whoami/", whoami),
    path("whoami/staff/", whoami),
    path("public/", whoami),
]
if not settings.BARE:
    from django.contrib import admin
    from drf_spectacular.views import SpectacularAPIView

    urlpatterns += [
        path("admin/", admin.site.urls),
        path(settings.SCHEMA_PATH[1:], SpectacularAPIView.as_view(urlconf="project.seed")),
    ]
