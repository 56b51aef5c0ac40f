"""How requests to AWS prove who sends them; botocore signs them. Sans-I/O.

Source: AWS Signature Version 4.
"""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from libs.chat.providers.protocol import Addressed, bearer
from libs.provider_keys.documents import bedrock_access_key

REGION = "us-east-1"
"""Of a key that names none."""


def authorize(key: str, url: str, content: bytes) -> Addressed:
    """A Bedrock API key as a bearer token; an access key signs the request, for the region that it names."""
    return _signed(key, url, content, "POST")


def check(key: str, base_url: str) -> Addressed:
    """The list of foundation models, which another host has."""
    address = base_url.replace("//bedrock-runtime.", "//bedrock.") + "/foundation-models"
    return _signed(key, address, b"", "GET")


def _signed(key: str, url: str, content: bytes, method: str) -> Addressed:
    access = bedrock_access_key(key)
    region = access.region if access else REGION
    url = url.replace("{region}", region)
    if access is None:
        return bearer(key, url, content)
    request = AWSRequest(method=method, url=url, data=content, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(access.key_id, access.secret), "bedrock", region).add_auth(request)
    return Addressed(url, {name: request.headers[name] for name in ("Authorization", "X-Amz-Date")})
