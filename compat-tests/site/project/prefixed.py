"""Paths of a site whose API has a prefix, with its login three times and the secret view."""

from django.urls import include, path

from project.several import urlpatterns as several
from project.views import secret

urlpatterns = [*several, path("api/v1/", include([path("secret/", secret)]))]
