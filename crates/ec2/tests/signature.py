"""Signs calls again, by botocore's own signer, and compares.

Standard input: a list of calls, each with head (request line and headers, as they came over the wire), body, and
who is to have signed it: key, secret, token (may be null), region. As EC2 does it, of the headers those count that
the call says to have signed. Writes a list of what is wrong; an empty one is good.
"""

import json
import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FORM = r"AWS4-HMAC-SHA256 Credential=([^ ,]+), ?SignedHeaders=([^ ,]+), ?Signature=([0-9a-f]{64})"


class Wrong(Exception):
    pass


def read(head):
    line, *rest = head.split("\r\n")
    method, path, _ = line.split(" ")
    pairs = [header.split(":", 1) for header in rest]
    return method, path, {name.strip().lower(): value.strip() for name, value in pairs}


def check(call):
    method, path, headers = read(call["head"])
    found = re.fullmatch(FORM, headers["authorization"])
    if not found:
        raise Wrong(f"not a signature of version 4: {headers['authorization']}")
    credential, names, signature = found.groups()
    time = headers["x-amz-date"]
    scope = f"{call['key']}/{time[:8]}/{call['region']}/ec2/aws4_request"
    if credential != scope:
        raise Wrong(f"signed as {credential}, not {scope}")
    if headers.get("x-amz-security-token") != call["token"]:
        raise Wrong(f"the token is {headers.get('x-amz-security-token')}")
    signed = names.split(";")
    wanted = {"host", "x-amz-date", "content-type"} | ({"x-amz-security-token"} if call["token"] else set())
    if not wanted <= set(signed):
        raise Wrong(f"not signed: {sorted(wanted - set(signed))}")
    request = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{path}",
        headers={name: headers[name] for name in signed},
        data=call["body"].encode(),
    )
    request.context["timestamp"] = time
    signer = SigV4Auth(Credentials(call["key"], call["secret"], call["token"]), "ec2", call["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if signer.signature(text, request) != signature:
        raise Wrong(f"botocore signs {text!r} otherwise")


def main():
    wrong = []
    for call in json.load(sys.stdin):
        try:
            check(call)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    json.dump(wrong, sys.stdout)


main()
