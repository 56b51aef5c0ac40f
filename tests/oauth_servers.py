"""A server of MCP that wants tokens, with its official SDK, and an authorization server that gives them."""

import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.local.ports import LOOPBACK, free_port
from tests.mcp_servers import serving, tools_of_a_test

CLIENT, SCOPE = "sluice-of-a-test", "tools"


@dataclass
class Authorization:
    """Gives tokens for client credentials (RFC 6749, section 4.4; RFC 8414), and knows which are good."""

    port: int = field(default_factory=free_port)
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    lasts_s: int = 3600
    given: dict[str, AccessToken] = field(default_factory=dict)
    asked: int = 0

    @property
    def issuer(self) -> str:
        """Its name."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def token_url(self) -> str:
        """Where it gives tokens."""
        return f"{self.issuer}/token"

    def app(self) -> Starlette:
        """The application."""
        metadata = Route("/.well-known/oauth-authorization-server", self._metadata)
        return Starlette(routes=[metadata, Route("/token", self._token, methods=["POST"])])

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": self.token_url,
                "response_types_supported": ["code"],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "scopes_supported": [SCOPE],
            }
        )

    async def _token(self, request: Request) -> Response:
        self.asked += 1
        form = await request.form()
        given = str(form.get("client_id")), str(form.get("client_secret"))
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
            given = unquote_plus(name), unquote_plus(secret)
        if given != (CLIENT, self.secret):
            return JSONResponse({"error": "invalid_client"}, 401)
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        token = secrets.token_urlsafe(24)
        self.given[token] = AccessToken(
            token=token,
            client_id=CLIENT,
            scopes=str(form.get("scope", "")).split(),
            expires_at=int(time.time()) + self.lasts_s,
            resource=str(form.get("resource")),
        )
        return JSONResponse(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.lasts_s, "scope": form.get("scope", "")}
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """As the SDK's servers ask."""
        return self.given.get(token)


@asynccontextmanager
async def protected_server() -> AsyncIterator[tuple[str, Authorization]]:
    """Its address, and the authorization server that it names."""
    authorization, port = Authorization(), free_port()
    url = f"http://{LOOPBACK}:{port}/mcp"
    # As texts: an issuer without a path has no slash at its end.
    settings = AuthSettings.model_validate(
        {
            "issuer_url": authorization.issuer,
            "resource_server_url": url,
            "required_scopes": [SCOPE],
            "validate_token_resource": True,
        }
    )
    app = tools_of_a_test(auth=settings, token_verifier=authorization).streamable_http_app()
    async with serving(authorization.app(), authorization.port), serving(app, port):
        yield url, authorization
