"""Attacks on tokens: every claim missing, wrong or of the wrong type; other algorithms; other keys (RFC 8725)."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.identity.tokens import (
    AUDIENCE,
    ISSUER,
    KEY_TYPE,
    ORGANIZATION_TYPE,
    TokenError,
    fingerprint,
    mint,
    public_bytes,
    verify,
)

NOW_S = 1_795_000_000
KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
GOOD = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "acct_1",
    "jti": "k1",
    "iat": NOW_S,
    "nbf": NOW_S,
    "exp": NOW_S + 60,
    "epoch": 0,
}
HEADER = {"kid": "one", "typ": KEY_TYPE}


def _keys(kid: str) -> Ed25519PublicKey | None:
    return {"one": KEY.public_key(), "two": OTHER.public_key()}.get(kid)


def _verify(token: str, now_s: float = NOW_S) -> Any:
    return verify(token, _keys, now_s)


def _sign(claims: dict[str, Any], header: dict[str, Any] | None = None, key: Ed25519PrivateKey = KEY) -> str:
    return jwt.encode(claims, key, algorithm="EdDSA", headers=header or HEADER)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_what_we_mint_we_accept() -> None:
    token = mint(KEY, kid="one", jti="k", account_id="a", token_epoch=2, issued_at_s=NOW_S, ttl_s=60)
    claims = _verify(token, NOW_S + 59)
    assert (claims.account_id, claims.jti, claims.token_epoch, claims.organization_id) == ("a", "k", 2, None)
    scoped = mint(
        KEY,
        kid="one",
        jti="k",
        account_id="a",
        token_epoch=0,
        issued_at_s=NOW_S,
        ttl_s=60,
        organization_id="o",
        role="member",
    )
    assert (_verify(scoped).organization_id, _verify(scoped).role) == ("o", "member")
    assert fingerprint("k") not in token
    assert claims.scopes == {"inference"}
    both = mint(
        KEY,
        kid="one",
        jti="k",
        account_id="a",
        token_epoch=0,
        issued_at_s=NOW_S,
        ttl_s=60,
        scopes=("inference", "manage"),
    )
    assert _verify(both).scopes == {"inference", "manage"}


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "jti", "iat", "exp", "epoch"])
def test_every_claim_is_needed(missing: str) -> None:
    with pytest.raises(TokenError):
        _verify(_sign({name: value for name, value in GOOD.items() if name != missing}))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "other"),
        ("aud", "other"),
        ("aud", ["other"]),
        ("sub", ""),
        ("sub", "x" * 129),
        ("jti", ""),
        ("exp", NOW_S),
        ("exp", True),
        ("exp", "soon"),
        ("exp", NOW_S + 0.5),
        ("nbf", NOW_S + 1),
        ("nbf", "now"),
        ("epoch", "0"),
        ("epoch", True),
        ("epoch", None),
        ("scope", "root"),
        ("scope", ["inference"]),
        ("scope", 1),
        ("organizationId", "o"),
        ("organizationRole", "owner"),
    ],
)
def test_every_wrong_claim_is_refused(claim: str, value: object) -> None:
    with pytest.raises(TokenError):
        _verify(_sign({**GOOD, claim: value}))


def test_expired_by_a_second_and_not_yet_valid() -> None:
    token = _sign(GOOD)
    assert _verify(token, NOW_S + 59.9)
    with pytest.raises(TokenError, match="expired"):
        _verify(token, NOW_S + 60)
    with pytest.raises(TokenError, match="not valid yet"):
        _verify(token, NOW_S - 1)


def test_no_algorithm_but_ours() -> None:
    body = _b64(json.dumps(GOOD).encode())
    for algorithm in ("none", "None", "NONE", "", None):
        header = _b64(json.dumps({**HEADER, "alg": algorithm}).encode())
        for signature in ("", "AAAA"):
            with pytest.raises(TokenError):
                _verify(f"{header}.{body}.{signature}")
    header = _b64(json.dumps({**HEADER, "alg": "HS256"}).encode())
    signature = _b64(hmac.new(public_bytes(KEY), f"{header}.{body}".encode(), hashlib.sha256).digest())
    with pytest.raises(TokenError):
        _verify(f"{header}.{body}.{signature}")


def test_kid_type_and_key_must_belong_together() -> None:
    for header in (
        {"kid": "two", "typ": KEY_TYPE},
        {"kid": "nobody", "typ": KEY_TYPE},
        {"kid": "../../etc/passwd", "typ": KEY_TYPE},
        {"typ": KEY_TYPE},
        {"kid": "one", "typ": "JWT"},
        {"kid": "one", "typ": ORGANIZATION_TYPE},
    ):
        with pytest.raises(TokenError):
            _verify(_sign(GOOD, header))
    with pytest.raises(TokenError):
        _verify(_sign(GOOD, key=OTHER))


def test_headers_that_name_other_keys_are_ignored() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _b64(public_bytes(OTHER))}
    for name, value in (("jku", "http://127.0.0.1/jwks"), ("x5u", "http://127.0.0.1/x"), ("jwk", jwk)):
        with pytest.raises(TokenError):
            _verify(_sign(GOOD, {**HEADER, name: value}, key=OTHER))


def test_critical_headers_that_nobody_understands_are_refused() -> None:
    """RFC 7515, section 4.1.11."""
    body = _b64(json.dumps(GOOD).encode())
    for critical in (["exp"], ["b64"], [], "exp", [1]):
        header = _b64(json.dumps({**HEADER, "alg": "EdDSA", "crit": critical}).encode())
        signature = _b64(KEY.sign(f"{header}.{body}".encode()))
        with pytest.raises(TokenError):
            _verify(f"{header}.{body}.{signature}")


@pytest.mark.parametrize("kid", [1, None, [], {}, True])
def test_a_kid_of_a_wrong_type_is_refused(kid: object) -> None:
    header = _b64(json.dumps({**HEADER, "alg": "EdDSA", "kid": kid}).encode())
    body = _b64(json.dumps(GOOD).encode())
    with pytest.raises(TokenError):
        _verify(f"{header}.{body}.{_b64(KEY.sign(f'{header}.{body}'.encode()))}")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b.c",
        "....",
        "é.é.é",
        "\udc80.a.b",
        f"{_b64(b'{}')}.\udc80.b",
        "x" * 1_000_000,
        "[" * 4000,
        _b64(b"[" * 3000) + "..",
        _b64(b"[]") + "..",
    ],
    ids=range(11),
)
def test_no_text_makes_it_fail_otherwise(token: str) -> None:
    with pytest.raises(TokenError) as refused:
        _verify(token)
    assert len(token) < 3 or token not in str(refused.value)


def test_a_changed_signature_or_payload_is_refused() -> None:
    header, body, signature = _sign(GOOD).split(".")
    other = _b64(json.dumps({**GOOD, "sub": "acct_2"}).encode())
    for forged in (f"{header}.{other}.{signature}", f"{header}.{body}.{signature[:-4]}AAAA", f"{header}.{body}."):
        with pytest.raises(TokenError):
            _verify(forged)


def test_a_key_has_one_text_and_so_one_fingerprint() -> None:
    token = mint(KEY, kid="one", jti="k", account_id="a", token_epoch=0, issued_at_s=NOW_S, ttl_s=60)
    *front, signature = token.split(".")
    same = [chr(ord(signature[-1]) + 1), *"\n \t"]
    others = [f"{token}=", f"{token}==", f"{token}\n", f"={token}", token.replace(".", "=.", 1)]
    others += [".".join([*front, signature[:-1] + last]) for last in same]
    others += [".".join([*front, f"{signature[:10]}{odd}{signature[10:]}"]) for odd in ("\n", "=", "!", "é", "\ud800")]
    for other in others:
        with pytest.raises(TokenError):
            _verify(other)
    assert _verify(token).account_id == "a"
