"""Requests to a store that speaks S3, and its lists of names. Sans-I/O; botocore signs.

Source: Amazon S3 API reference (PutObject, ListObjectsV2, DeleteObject), AWS Signature Version 4. Buckets are named in
the path, which every such store takes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PAGE = 200
"""Names asked for at once."""
PAGE_BYTES = 1024 * 1024
_KEY = re.compile(r"<Key>([^<]*)</Key>")
_NEXT = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")


@dataclass(frozen=True, slots=True)
class Access:
    """Of an access key."""

    key_id: str
    secret: str
    region: str

    def __repr__(self) -> str:
        return f"Access({self.region})"


@dataclass(frozen=True, slots=True)
class Page:
    """Names in their order, and how to ask for more."""

    keys: list[str]
    token: str | None


def path_of(bucket: str, key: str = "", query: Mapping[str, str] | None = None) -> str:
    """Below the store's address."""
    asked = f"?{urlencode(sorted(query.items()), quote_via=quote)}" if query else ""
    return f"/{quote(bucket)}{'/' if key else ''}{quote(key)}{asked}"


def signed(access: Access, method: str, url: str, content: bytes) -> dict[str, str]:
    """Headers that prove who sends this, and that it is this."""
    request = AWSRequest(method=method, url=url, data=content)
    S3SigV4Auth(Credentials(access.key_id, access.secret), "s3", access.region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def list_query(prefix: str, after: str, token: str | None) -> dict[str, str]:
    """Of ListObjectsV2.

    Args:
        after: names up to this one are left out; "": none are.
        token: of the page before.
    """
    query = {"list-type": "2", "prefix": prefix, "max-keys": str(PAGE)}
    if token is not None:
        return query | {"continuation-token": token}
    return query | ({"start-after": after} if after else {})


def page_of(body: bytes) -> Page:
    """An answer to ListObjectsV2. By pattern and not by a parser of XML, which would follow whatever a store sends."""
    text = body.decode("utf-8", "replace")
    token = _NEXT.search(text)
    return Page([unescape(key) for key in _KEY.findall(text)], unescape(token[1]) if token else None)
