"""moto's S3, a server by others, as a process: it verifies signatures, and knows one access key and one bucket."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import httpx

from deploy.local.child import Child
from deploy.local.home import plain_environment
from deploy.local.ports import LOOPBACK, free_port, wait_until_open
from services.sinks.core.s3 import Access, page_of, path_of, signed

BUCKET = "lake"
REGION = "eu-central-1"
POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


@dataclass(frozen=True, slots=True)
class S3Server:
    """One that runs."""

    url: str
    access: Access
    http: httpx.AsyncClient

    async def files(self, prefix: str) -> dict[str, bytes]:
        """All objects below a prefix."""
        listed = await self._ask("GET", path_of(BUCKET, query={"list-type": "2", "prefix": prefix}))
        return {key: await self._ask("GET", path_of(BUCKET, key)) for key in page_of(listed).keys}

    async def make_bucket(self) -> None:
        """The only one."""
        body = (
            f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        )
        await self._ask("PUT", path_of(BUCKET), body.encode())

    async def _ask(self, method: str, path: str, content: bytes = b"") -> bytes:
        url = self.url + path
        answer = await self.http.request(
            method, url, content=content, headers=signed(self.access, method, url, content)
        )
        assert answer.status_code == 200, answer.text
        return answer.content


@asynccontextmanager
async def s3_server(folder: Path) -> AsyncIterator[S3Server]:
    """Runs meanwhile."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    # After the three calls that make its user, it asks everybody who he is.
    child = Child("s3", lambda: command, plain_environment(INITIAL_NO_AUTH_ACTION_COUNT=3), folder / "s3.log")
    await child.start()
    try:
        await wait_until_open(port, within_s=90, what="moto")
        url = f"http://{LOOPBACK}:{port}"
        key = await asyncio.to_thread(_key, url)
        async with httpx.AsyncClient(trust_env=False) as http:
            server = S3Server(url, Access(key["AccessKeyId"], key["SecretAccessKey"], REGION), http)
            await server.make_bucket()
            yield server
    finally:
        await child.stop()


def _key(url: str) -> dict[str, Any]:
    session = botocore.session.get_session()
    iam = session.create_client(
        "iam", region_name=REGION, endpoint_url=url, aws_access_key_id="anybody", aws_secret_access_key="anything"
    )
    iam.create_user(UserName="sluice")
    iam.put_user_policy(UserName="sluice", PolicyName="all", PolicyDocument=POLICY)
    found: dict[str, Any] = iam.create_access_key(UserName="sluice")["AccessKey"]
    return found
