"""Verifies claims that a service account has signed, by Google's own reader, and has Google's own client sign some.

Standard input: the signed claims, the public key (PEM), the path of the key file, and where tokens are asked for. Writes the
verified header and claims, and those of Google's client, which has asked for a token there.
"""

import json
import sys

import google.auth.jwt
import google.auth.transport.requests
from google.oauth2 import service_account


def main():
    asked = json.load(sys.stdin)
    claims = google.auth.jwt.decode(asked["assertion"], certs=asked["public_key"], audience=asked["token_uri"])
    header = google.auth.jwt.decode_header(asked["assertion"])
    credentials = service_account.Credentials.from_service_account_file(
        asked["key_file"], scopes=["https://www.googleapis.com/auth/compute"])
    theirs = credentials._make_authorization_grant_assertion().decode()
    # Whatever the file says, theirs are for Google's own issuer.
    their_audience = "https://oauth2.googleapis.com/token"
    credentials.refresh(google.auth.transport.requests.Request())
    json.dump({
        "header": header,
        "claims": claims,
        "their_header": google.auth.jwt.decode_header(theirs),
        "their_claims": google.auth.jwt.decode(theirs, certs=asked["public_key"], audience=their_audience),
        "their_token": credentials.token,
    }, sys.stdout)


main()
