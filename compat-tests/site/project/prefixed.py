"""Paths of a site whose API has a prefix, with three routes to its login and the secret view."""

from django.urls import path

from project.several import urlpatterns as several
from project.views import secret

urlpatterns = [*several, path("api/v1/secret/", secret)]
