"""The management API over HTTP. The CLI is its client; its OpenAPI document is at ``/openapi.json``."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field, SecretStr
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.config.catalog import Catalog
from libs.identity.tokens import API_KEY_TTL_S, INFERENCE, ORGANIZATION_TTL_S, SCOPES
from libs.sealing.credentials import credential_id
from libs.sealing.secret import Secret
from libs.version import VERSION
from services.console import accounts, audit, organizations
from services.console.billing_api import BillingRoutes
from services.console.byok import OwnKeys
from services.console.calls import Body, Call, Calls
from services.console.core.authorization import (
    Action,
    Actor,
    Role,
    check_account,
    check_operator,
)
from services.console.core.records import organization_of
from services.console.errors import BadInput, ConsoleError, NotFound
from services.console.policy_api import PolicyRoutes
from services.console.signing import SigningKeys, jwks

MOST_BODY_BYTES = 64 * 1024
Id = Annotated[str, Field(pattern=r"^[a-z]+_[0-9a-f]{20}$|^[0-9a-f]{16,24}$", max_length=64)]
Limit = Annotated[int, Query(ge=1, le=audit.MOST_ROWS)]
Scope_ = Annotated[str, Field(pattern=f"^({'|'.join(SCOPES)})$")]


class AccountCreate(Body):
    """A new account."""

    email: Annotated[str, Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,190}$")]


class AccountChange(Body):
    """A disabled account's keys do not work."""

    disabled: bool


class KeyCreate(Body):
    """A new API key."""

    name: Annotated[str, Field(min_length=1, max_length=100)] = "default"
    ttl_s: Annotated[int, Field(gt=0, le=API_KEY_TTL_S)] = API_KEY_TTL_S
    """Seconds."""
    scopes: Annotated[list[Scope_], Field(min_length=1)] = [INFERENCE]


class OrganizationCreate(Body):
    """A new organization and its first owner; an account that creates one is its owner."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    owner: Id | None = None


class MemberSet(Body):
    """A member's role."""

    role: Role


class TokenTake(Body):
    """An organization token; the operator names the account."""

    account: Id | None = None


class ProviderKey(Body):
    """A provider key of one's own; it is never shown again."""

    key: SecretStr
    check: bool = False
    """Ask the provider first whether it takes the key."""


class SigningKeyRetire(Body):
    """After this many seconds nothing that the key signed is valid."""

    after_s: Annotated[int, Field(ge=0, le=API_KEY_TTL_S)] = 0


class ManagementApi:
    """The routes. Each opens one transaction, asks `services.console.core.authorization`, then changes or reads."""

    def __init__(self, calls: Calls, signing: SigningKeys, own_keys: OwnKeys, catalog: Catalog) -> None:
        self._signing = signing
        self._own_keys = own_keys
        self._reading, self._acting = calls.reading, calls.acting
        self._in_organization, self._check = calls.in_organization, calls.check
        self._more = (BillingRoutes(calls), PolicyRoutes(calls, catalog))

    def application(self) -> ASGIApp:
        """The ASGI application."""
        app = self._fastapi()
        app.add_exception_handler(ConsoleError, _refused)
        app.add_exception_handler(HTTPException, _no_route)
        app.add_exception_handler(RequestValidationError, _not_right)
        return _LimitedBody(app, MOST_BODY_BYTES)

    def _fastapi(self) -> FastAPI:
        app = FastAPI(title="Sluice management API", version=VERSION, docs_url=None, redoc_url=None)
        app.include_router(self._routes())
        for part in self._more:
            app.include_router(part.routes())
        return app

    def _routes(self) -> APIRouter:
        routes = APIRouter()
        add = routes.add_api_route
        add("/.well-known/jwks.json", self.jwks, methods=["GET"])
        add("/api/accounts", self.create_account, methods=["POST"], status_code=201)
        add("/api/accounts", self.list_accounts, methods=["GET"])
        add("/api/accounts/{account_id}", self.change_account, methods=["PATCH"])
        add("/api/accounts/{account_id}/sign-out", self.sign_out, methods=["POST"])
        add("/api/accounts/{account_id}/keys", self.create_key, methods=["POST"], status_code=201)
        add("/api/accounts/{account_id}/keys", self.list_keys, methods=["GET"])
        add("/api/keys/{key_id}", self.revoke_key, methods=["DELETE"])
        add("/api/keys/{key_id}/rotate", self.rotate_key, methods=["POST"], status_code=201)
        add("/api/me", self.me, methods=["GET"])
        add("/api/organizations", self.create_organization, methods=["POST"], status_code=201)
        add("/api/organizations", self.list_organizations, methods=["GET"])
        add("/api/organizations/{organization_id}", self.delete_organization, methods=["DELETE"])
        add("/api/organizations/{organization_id}/members", self.list_members, methods=["GET"])
        add("/api/organizations/{organization_id}/members/{account}", self.set_member, methods=["PUT"])
        add("/api/organizations/{organization_id}/members/{account}", self.remove_member, methods=["DELETE"])
        add("/api/organizations/{organization_id}/token", self.take_token, methods=["POST"], status_code=201)
        add("/api/organizations/{organization_id}/audit", self.organization_audit, methods=["GET"])
        for level in ("accounts/{account_id}", "organizations/{organization_id}"):
            personal = level.startswith("accounts")
            path = f"/api/{level}/provider-keys"
            add(path, self.list_own_keys if personal else self.list_organization_keys, methods=["GET"])
            put = self.put_own_key if personal else self.put_organization_key
            add(f"{path}/{{provider}}", put, methods=["PUT"], status_code=202)
            test = self.test_own_key if personal else self.test_organization_key
            add(f"{path}/{{provider}}/test", test, methods=["POST"], status_code=202)
            remove = self.remove_own_key if personal else self.remove_organization_key
            add(f"{path}/{{provider}}", remove, methods=["DELETE"], status_code=202)
        add("/api/audit", self.whole_audit, methods=["GET"])
        add("/api/vault", self.show_vault, methods=["GET"])
        add("/api/vault/rewrap", self.rewrap, methods=["POST"], status_code=202)
        add("/api/signing-keys", self.list_signing_keys, methods=["GET"])
        add("/api/signing-keys/rotate", self.rotate_signing_key, methods=["POST"], status_code=201)
        add("/api/signing-keys/{kid}/retire", self.retire_signing_key, methods=["POST"])
        return routes

    # Public.

    async def jwks(self) -> dict[str, Any]:
        """The public halves of the signing keys (RFC 7517)."""
        async with self._reading() as connection:
            return jwks(await self._signing.public(connection))

    # Accounts and keys.

    async def create_account(self, body: AccountCreate, call: Call) -> dict[str, Any]:
        """Create an account (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            return {"id": await accounts.create(connection, actor, body.email)}

    async def list_accounts(self, call: Call) -> list[dict[str, Any]]:
        """List all accounts (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            return await accounts.rows(connection)

    async def change_account(self, account_id: str, body: AccountChange, call: Call) -> dict[str, Any]:
        """Disable an account, or enable it again (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            await accounts.set_disabled(connection, actor, account_id, body.disabled)
            return {"id": account_id, "disabled": body.disabled}

    async def sign_out(self, account_id: str, call: Call) -> dict[str, Any]:
        """End every key and token of an account."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            await accounts.sign_out_everywhere(connection, actor, account_id)
            return {"id": account_id, "signed_out": True}

    async def create_key(self, account_id: str, body: KeyCreate, call: Call) -> dict[str, Any]:
        """Mint an API key; it is shown this once."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            issued = await accounts.create_key(
                connection, actor, self._signing, account_id, body.name, body.ttl_s, sorted(set(body.scopes))
            )
            return _issued(issued)

    async def list_keys(self, account_id: str, call: Call) -> list[dict[str, Any]]:
        """An account's keys by fingerprint, without the keys themselves."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            return await accounts.keys(connection, account_id)

    async def revoke_key(self, key_id: str, call: Call) -> dict[str, Any]:
        """Stop a key from working."""
        async with self._acting(call) as (connection, actor):
            await self._own_key(connection, actor, key_id)
            await accounts.revoke_key(connection, actor, key_id)
            return {"id": key_id, "revoked": True}

    async def rotate_key(self, key_id: str, call: Call) -> dict[str, Any]:
        """Revoke a key and mint one of the same name, scopes and lifetime."""
        async with self._acting(call) as (connection, actor):
            old = await self._own_key(connection, actor, key_id)
            if old["revoked_at"]:
                raise BadInput("this key is revoked; create a new one")
            ttl_s = int((old["expires_at"] - old["created_at"]).total_seconds())
            issued = await accounts.create_key(
                connection,
                actor,
                self._signing,
                old["account_id"],
                old["name"],
                max(1, ttl_s),
                old["scopes"].split(),
            )
            await accounts.revoke_key(connection, actor, key_id)
            return _issued(issued)

    async def me(self, call: Call) -> dict[str, Any]:
        """Who this key is."""
        async with self._acting(call) as (connection, actor):
            mine = [] if actor.operator else await organizations.rows(connection, actor.account_id)
            return {"account": actor.account_id, "operator": actor.operator, "organizations": mine}

    # Organizations.

    async def create_organization(self, body: OrganizationCreate, call: Call) -> dict[str, Any]:
        """Create an organization."""
        async with self._acting(call) as (connection, actor):
            owner = body.owner or actor.account_id
            if owner is None:
                raise BadInput("name who owns it: `owner`, an account's ID")
            check_account(actor, owner)
            return {"id": await organizations.create(connection, actor, body.name, owner)}

    async def list_organizations(self, call: Call) -> list[dict[str, Any]]:
        """The caller's organizations; for the operator all."""
        async with self._acting(call) as (connection, actor):
            return await organizations.rows(connection, actor.account_id)

    async def delete_organization(self, organization_id: str, call: Call) -> dict[str, Any]:
        """End an organization; running requests run to their end."""
        async with self._in_organization(call, organization_id, Action.DELETE) as (connection, actor):
            await organizations.delete(connection, actor, organization_id)
            return {"id": organization_id, "deleted": True}

    async def list_members(self, organization_id: str, call: Call) -> list[dict[str, Any]]:
        """An organization's members."""
        async with self._in_organization(call, organization_id, Action.SEE) as (connection, _actor):
            return await organizations.members(connection, organization_id)

    async def set_member(self, organization_id: str, account: str, body: MemberSet, call: Call) -> dict[str, Any]:
        """Make an account, named by its ID or e-mail address, a member, or change its role."""
        async with self._in_organization(call, organization_id, Action.CHANGE_MEMBERS) as (connection, actor):
            account_id = await accounts.find(connection, account)
            await organizations.set_member(connection, actor, organization_id, account_id, body.role)
            return {"organization": organization_id, "account": account_id, "role": body.role.value}

    async def remove_member(self, organization_id: str, account: str, call: Call) -> dict[str, Any]:
        """End a membership; every member may end its own."""
        async with self._acting(call) as (connection, actor):
            action = Action.LEAVE if actor.account_id == account else Action.CHANGE_MEMBERS
            await self._check(connection, actor, organization_id, action)
            account_id = await accounts.find(connection, account)
            await organizations.remove_member(connection, actor, organization_id, account_id)
            return {"organization": organization_id, "account": account_id, "removed": True}

    async def take_token(self, organization_id: str, call: Call, body: TokenTake | None = None) -> dict[str, Any]:
        """Swap a member's key for an organization token of 15 minutes."""
        async with self._in_organization(call, organization_id, Action.TAKE_TOKEN) as (connection, actor):
            account_id = (body.account if body else None) or actor.account_id
            if account_id is None:
                raise BadInput("name the account: `account`, its ID")
            if not actor.operator and account_id != actor.account_id:
                raise NotFound(f"there is no account {account_id!r}, or it is not yours")
            role = await organizations.role_of(connection, organization_id, account_id)
            if role is None:
                raise NotFound(f"the account {account_id!r} is not a member of this organization")
            epoch = await accounts.token_epoch(connection, account_id)
            expires_at = datetime.now(UTC) + timedelta(seconds=ORGANIZATION_TTL_S)
            token = await self._signing.sign(
                connection,
                jti=secrets.token_hex(12),
                account_id=account_id,
                token_epoch=epoch,
                ttl_s=ORGANIZATION_TTL_S,
                organization_id=organization_id,
                role=role.value,
            )
            await audit.note(connection, actor, "token.take", account_id, organization_id=organization_id)
            return {"token": token, "expires_at": expires_at, "role": role.value}

    # Provider keys of one's own.

    async def list_own_keys(self, account_id: str, call: Call) -> list[dict[str, Any]]:
        """An account's own provider keys, without the keys."""
        async with self._acting(call) as (_connection, actor):
            check_account(actor, account_id)
            return self._own_keys.rows(f"acct:{account_id}")

    async def put_own_key(self, account_id: str, provider: str, body: ProviderKey, call: Call) -> dict[str, Any]:
        """Add or replace an account's own key of a provider."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            await accounts.token_epoch(connection, account_id)
            return await self._put_key(connection, actor, f"acct:{account_id}", provider, body)

    async def remove_own_key(self, account_id: str, provider: str, call: Call) -> dict[str, Any]:
        """Destroy an account's own key of a provider."""
        async with self._acting(call) as (connection, actor):
            check_account(actor, account_id)
            return await self._remove_key(connection, actor, f"acct:{account_id}", provider)

    async def test_own_key(self, account_id: str, provider: str, call: Call) -> dict[str, Any]:
        """Ask the provider whether it takes the stored key; the list then shows the result."""
        async with self._acting(call) as (_connection, actor):
            check_account(actor, account_id)
            return {"ordered_at_ms": await self._own_keys.order_test(f"acct:{account_id}", provider)}

    async def test_organization_key(self, organization_id: str, provider: str, call: Call) -> dict[str, Any]:
        """Ask the provider whether it takes the organization's stored key; the list then shows the result."""
        async with self._in_organization(call, organization_id, Action.MANAGE_KEYS):
            return {"ordered_at_ms": await self._own_keys.order_test(f"org:{organization_id}", provider)}

    async def list_organization_keys(self, organization_id: str, call: Call) -> list[dict[str, Any]]:
        """An organization's provider keys, without the keys."""
        async with self._in_organization(call, organization_id, Action.MANAGE_KEYS):
            return self._own_keys.rows(f"org:{organization_id}")

    async def put_organization_key(
        self, organization_id: str, provider: str, body: ProviderKey, call: Call
    ) -> dict[str, Any]:
        """Add or replace an organization's key of a provider."""
        async with self._in_organization(call, organization_id, Action.MANAGE_KEYS) as (connection, actor):
            return await self._put_key(connection, actor, f"org:{organization_id}", provider, body)

    async def remove_organization_key(self, organization_id: str, provider: str, call: Call) -> dict[str, Any]:
        """Destroy an organization's key of a provider."""
        async with self._in_organization(call, organization_id, Action.MANAGE_KEYS) as (connection, actor):
            return await self._remove_key(connection, actor, f"org:{organization_id}", provider)

    async def show_vault(self, call: Call) -> dict[str, Any]:
        """Which key-encryption key wraps, and how many keys an older one wraps still (operator)."""
        async with self._acting(call) as (_connection, actor):
            check_operator(actor)
            return self._own_keys.vault()

    async def rewrap(self, call: Call) -> dict[str, Any]:
        """Wrap every stored key's data key by the current key-encryption key (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            await self._own_keys.order_rewrap(actor.name)
            await audit.note(connection, actor, "vault.rewrap", "vault")
            return self._own_keys.vault()

    async def _put_key(
        self, connection: Any, actor: Actor, owner: str, provider: str, body: ProviderKey
    ) -> dict[str, Any]:
        key = Secret(body.key.get_secret_value())
        name = await self._own_keys.add(owner, provider, key, actor.name, check=body.check)
        await audit.note(connection, actor, "provider_key.put", name, organization_id=organization_of(owner))
        return {"id": name, "provider": provider}

    async def _remove_key(self, connection: Any, actor: Actor, owner: str, provider: str) -> dict[str, Any]:
        await self._own_keys.remove(owner, provider, actor.name)
        name = credential_id(owner, provider)
        await audit.note(connection, actor, "provider_key.remove", name, organization_id=organization_of(owner))
        return {"id": name, "removed": True}

    # The audit trail.

    async def organization_audit(self, organization_id: str, call: Call, limit: Limit = 100) -> list[dict[str, Any]]:
        """Who changed what in an organization, newest first."""
        async with self._in_organization(call, organization_id, Action.READ_AUDIT) as (connection, _actor):
            return await audit.entries(connection, organization_id, limit)

    async def whole_audit(self, call: Call, limit: Limit = 100) -> list[dict[str, Any]]:
        """Who changed what, newest first (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            return await audit.entries(connection, None, limit)

    # Signing keys.

    async def list_signing_keys(self, call: Call) -> list[dict[str, Any]]:
        """The signing keys, newest first (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            return await self._signing.rows(connection)

    async def rotate_signing_key(self, call: Call) -> dict[str, Any]:
        """Sign with a new key from now on; older ones still verify (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            kid = await self._signing.make(connection)
            await audit.note(connection, actor, "signing_key.rotate", kid)
            return {"kid": kid}

    async def retire_signing_key(self, kid: str, body: SigningKeyRetire, call: Call) -> dict[str, Any]:
        """Let a key that signs no more verify no more, at once or later (operator)."""
        async with self._acting(call) as (connection, actor):
            check_operator(actor)
            not_after = datetime.now(UTC) + timedelta(seconds=body.after_s)
            await self._signing.retire(connection, kid, not_after)
            await audit.note(connection, actor, "signing_key.retire", kid)
            return {"kid": kid, "not_after": not_after}

    async def _own_key(self, connection: Any, actor: Actor, key_id: str) -> dict[str, Any]:
        key = await accounts.key(connection, key_id)
        try:
            check_account(actor, key["account_id"])
        except NotFound:
            raise accounts.no_key(key_id) from None
        return key


def description() -> dict[str, Any]:
    """The OpenAPI document; it needs no database."""
    unused: Any = None
    calls = Calls(unused, unused, "", lambda: None)
    document: dict[str, Any] = ManagementApi(calls, unused, unused, unused)._fastapi().openapi()
    return document


class _LimitedBody:
    """Refuses bodies over a limit before anything reads them whole."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, counting its body."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise HTTPException(413, f"the body is larger than {self._most} bytes")
            return message

        await self._app(scope, counted, send)


def _issued(key: accounts.IssuedKey) -> dict[str, Any]:
    return {"id": key.key_id, "key": key.token, "expires_at": key.expires_at}


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "code": status}}, status)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConsoleError)
    return _error(error.status, str(error))


async def _no_route(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, str(error.detail))


async def _not_right(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:])) or 'body'}: {item['msg']}" for item in error.errors())
    return _error(400, f"the request is not right: {wrong[:500]}")
