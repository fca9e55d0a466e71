"""Classes of a site's own. They stand alone: DRF imports them while it imports its views."""

from rest_framework.authentication import BasicAuthentication, TokenAuthentication


class BearerAuthentication(TokenAuthentication):
    keyword = "Bearer"


class Shouted(TokenAuthentication):
    keyword = "TOKEN"


class TwoWords(TokenAuthentication):
    keyword = "My Token"


class BasicTokens(TokenAuthentication):
    keyword = "Basic"


class Realm(BasicAuthentication):
    www_authenticate_realm = "site"
