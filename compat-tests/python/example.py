"""A login with the client that openapi-python-client makes; README shows it."""

import sys

from drf_authtoken_client import AuthenticatedClient, Client
from drf_authtoken_client.api.api_token_auth import api_token_auth_create
from drf_authtoken_client.api.secret import secret_retrieve
from drf_authtoken_client.models import AuthToken, AuthTokenRequest, Secret

base_url, username, password = sys.argv[1:]

credentials = AuthTokenRequest(username=username, password=password)
login = api_token_auth_create.sync(client=Client(base_url), body=credentials)
if not isinstance(login, AuthToken):
    sys.exit(f"refused: {login}")

client = AuthenticatedClient(base_url, token=login.token, prefix="Token")
secret = secret_retrieve.sync(client=client)
print(secret.message if isinstance(secret, Secret) else secret)
