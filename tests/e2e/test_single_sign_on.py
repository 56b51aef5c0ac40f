"""Signing in to the web console through an OpenID Connect provider that others wrote, and all that may be wrong."""

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from oidc_provider_mock import User, run_server_in_thread

from services.console.single_sign_on import Attempt, SignOnError, SingleSignOn
from tests.e2e.plane import Plane
from tests.stacks import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _user(subject: str, email: str, *, verified: bool = True) -> User:
    return User(sub=subject, claims={"email": email, "email_verified": verified})


@pytest.fixture(scope="module")
def provider(gateway: Gateway) -> Iterator[Callable[[User], None]]:
    """The provider runs; makes a user of it known."""
    port = urlsplit(gateway.issuer).port
    assert port
    with run_server_in_thread(port=port):

        def put(user: User) -> None:
            httpx.put(f"{gateway.issuer}/users/{user.sub}", json=user.claims, trust_env=False).raise_for_status()

        yield put


@pytest.fixture(scope="module")
def plane_of(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


@pytest.fixture
def browser(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.stack.console_url, trust_env=False) as client:
        yield client


def _back(browser: httpx.Client, subject: str) -> str:
    """Leaves for the provider, agrees there as somebody, and returns the address that leads back."""
    there = browser.get("/sign-in/single?next=/me/keys").headers["location"]
    with httpx.Client(trust_env=False) as other:
        back = other.post(there, data={"sub": subject, "action": "authorize"}).headers["location"]
    return str(back)


async def test_the_first_sign_in_binds_an_account_and_the_next_one_finds_it(
    plane_of: Plane, browser: httpx.Client, provider: Callable[[User], None]
) -> None:
    person, subject = await plane_of.person(), secrets.token_hex(8)
    accounts = await plane_of.call("GET", "/api/accounts?limit=1000")
    email = next(row["email"] for row in accounts if row["id"] == person.account_id)
    provider(_user(subject, email.upper()))
    assert "Sign in with single sign-on" in browser.get("/sign-in").text
    answer = browser.get(_back(browser, subject))
    assert (answer.status_code, answer.headers["location"]) == (303, "/me/keys")
    assert browser.get("/me/keys").status_code == 200
    # It is bound to who signed in, not to the address.
    provider(_user(subject, "renamed@elsewhere.example"))
    assert browser.get(_back(browser, subject)).status_code == 303
    thief = secrets.token_hex(8)
    provider(_user(thief, email))
    refused = browser.get(_back(browser, thief))
    assert (refused.status_code, "bound to another sign-in" in refused.text) == (401, True)
    await plane_of.call("PATCH", f"/api/accounts/{person.account_id}", {"disabled": True})
    assert browser.get(_back(browser, subject)).status_code == 401


async def test_an_account_is_made_for_the_operator_s_domains_alone(
    plane_of: Plane, browser: httpx.Client, provider: Callable[[User], None]
) -> None:
    name = secrets.token_hex(4)
    cases = {
        f"{name}@sluice.example": 303,
        f"{name}@elsewhere.example": 401,
        f"{name}@sluice.example.org": 401,
        f"x@sluice.example@{name}.example": 401,
    }
    for number, (email, status) in enumerate(cases.items()):
        provider(_user(f"{name}-{number}", email))
        assert browser.get(_back(browser, f"{name}-{number}")).status_code == status, email
    provider(_user(f"{name}-unverified", f"other-{name}@sluice.example", verified=False))
    assert browser.get(_back(browser, f"{name}-unverified")).status_code == 401
    emails = [row["email"] for row in await plane_of.call("GET", "/api/accounts?limit=1000")]
    assert [email for email in emails if name in email] == [f"{name}@sluice.example"]


async def test_an_answer_works_once_and_in_the_browser_that_asked(
    gateway: Gateway, browser: httpx.Client, provider: Callable[[User], None]
) -> None:
    name = secrets.token_hex(4)
    provider(_user(name, f"{name}@sluice.example"))
    back = _back(browser, name)
    with httpx.Client(base_url=gateway.stack.console_url, trust_env=False) as other:
        assert other.get(back).status_code == 401
        # Nor with an answer to somebody else's try (login CSRF).
        other.get("/sign-in/single")
        assert other.get(back).status_code == 401
    query = {key: values[0] for key, values in parse_qs(urlsplit(back).query).items()}
    address = back.partition("?")[0]
    assert browser.get(f"{address}?{urlencode(query | {'state': 'x'})}").status_code == 401
    # The try was used up by that.
    assert browser.get(back).status_code == 401
    again = _back(browser, name)
    assert browser.get(again).status_code == 303
    assert browser.get(again).status_code == 401
    assert browser.get(f"{address}?error=access_denied&state=x").status_code == 401
    leaves = browser.get("/sign-in/single?next=//elsewhere.example").headers["location"]
    assert leaves.startswith(gateway.issuer)


@pytest.mark.parametrize("kept", ["", "x", "e30", "W10=", "eyJzdGF0ZSI6MX0=", "eyJ4IjoieSJ9", "bnVsbA=="])
async def test_a_cookie_that_is_none_of_ours_signs_nobody_in(gateway: Gateway, kept: str) -> None:
    console, cookies = gateway.stack.console_url, {"sluice_sign_on": kept}
    async with httpx.AsyncClient(base_url=console, cookies=cookies, trust_env=False) as client:
        assert (await client.get("/sign-in/single/back?code=x&state=x")).status_code == 401


class _Provider:
    """One that answers as a test wants: it is a transport below httpx."""

    def __init__(self, **documents: Any) -> None:
        self.key = generate_private_key(SECP256R1())
        self.documents = documents

    def token(self, attempt: Attempt, **changes: Any) -> str:
        """An ID token that is right but for what is changed."""
        claims = {
            "iss": "https://id.example",
            "sub": "one",
            "aud": "sluice",
            "iat": time.time(),
            "exp": time.time() + 60,
            "nonce": attempt.nonce,
            "email": "one@sluice.example",
            "email_verified": True,
        }
        right = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(right, self.key, "ES256", {"kid": "k"})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"aud": ["sluice", "another"], "azp": "another"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"email": None},
        {"email_verified": "true"},
        {"email_verified": None},
    ],
    ids=str,
)
async def test_a_token_that_is_not_right_signs_nobody_in(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    provider, attempt = _Provider(), Attempt()
    good = await _signed_in(monkeypatch, provider, attempt, provider.token(attempt))
    assert (good.subject, good.email) == ("one", "one@sluice.example")
    with pytest.raises(SignOnError):
        await _signed_in(monkeypatch, provider, attempt, provider.token(attempt, **changes))


async def test_a_token_signed_by_another_key_or_none_signs_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, attempt = _Provider(), Attempt()
    claims = jwt.decode(provider.token(attempt), options={"verify_signature": False})
    for token in (
        jwt.encode(claims, generate_private_key(SECP256R1()), "ES256", {"kid": "k"}),
        jwt.encode(claims, "test-only" * 4, "HS256", {"kid": "k"}),
        jwt.encode(claims, "", "none", {"kid": "k"}),
        "x",
    ):
        with pytest.raises(SignOnError):
            await _signed_in(monkeypatch, provider, attempt, token)


async def _signed_in(monkeypatch: pytest.MonkeyPatch, provider: _Provider, attempt: Attempt, token: str) -> Any:
    published = jwt.algorithms.ECAlgorithm.to_jwk(provider.key.public_key(), as_dict=True) | {"kid": "k"}
    documents = {
        "/.well-known/openid-configuration": {
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/jwks",
        },
        "/jwks": {"keys": [published]},
        "/token": {"access_token": "a", "token_type": "Bearer", "id_token": token},
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=documents[request.url.path]))
    sign_on = SingleSignOn("https://id.example", "sluice", "secret", "Example", transport=transport)
    return await sign_on.identity(attempt, attempt.state, "code", "https://console.example/back")
