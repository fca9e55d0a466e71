"""Other keywords than `Token`. They stand alone: DRF imports them while it imports its views."""

from rest_framework.authentication import TokenAuthentication


class BearerAuthentication(TokenAuthentication):
    keyword = "Bearer"


class TwoWords(TokenAuthentication):
    keyword = "My Token"
