"""Forms of provider keys."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from libs.config.gateway import load_config
from libs.provider_keys.assertion import assertion
from libs.provider_keys.documents import KeyFormError, service_account
from libs.provider_keys.key_forms import as_stored, hint_of
from tests.service_account import ACCOUNT, RSA_KEY, pem

BYOK_PROVIDERS = (
    "anthropic",
    "bedrock",
    "google",
    "inception",
    "openai",
    "minimax",
    "mistral",
    "xai",
    "zai",
    "byteplus-coding",
    "codestral",
    "kimi-coding",
    "neuralwatt",
    "zai-coding",
)
KILO_CODES = (
    "chutes-byok",
    "crofai",
    "inceptron-byok",
    "martian",
    "minimax-coding-plan",
    "nvidia-byok",
    "ollama-cloud",
    "opencode-go",
    "orcarouter",
    "synthetic",
    "xiaomi-token-plan-ams",
    "xiaomi-token-plan-sgp",
)
"""IDs of Kilo Code's users beyond the fourteen."""
AWS = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "wJalrXUtnFEMI/K7MDENG", "region": "us-east-1"}
AZURE = {"apiKey": "0123abcd", "resource": "my-resource"}
EC_KEY = pem(ec.generate_private_key(ec.SECP256R1()))


PROVIDERS = load_config(None).providers


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("openai", "sk-proj-abc"),
        ("anthropic", "sk-ant-api03-abc"),
        ("google", "AIzaSyExample"),
        ("google", "AQ.example"),
        ("xai", "xai-abc"),
        ("mistral", "anything"),
        ("bedrock", "ABSKexample"),
        ("bedrock", json.dumps(AWS)),
        ("azure", json.dumps(AZURE)),
    ],
)
def test_keys_as_they_look_today(provider: str, key: str) -> None:
    stored = as_stored(PROVIDERS[provider], key)
    assert json.loads(stored) == json.loads(key) if key.startswith("{") else stored == key
    assert hint_of(PROVIDERS[provider], stored) is None


@pytest.mark.parametrize(
    ("provider", "key", "hint"),
    [
        ("openai", "pk-canary", "'sk-'"),
        ("anthropic", "sk-canary", "'sk-ant-'"),
        ("google", "sk-canary", "'AIza' or 'AQ.'"),
        ("mistral", "two canaries", "white space"),
    ],
)
def test_another_form_is_a_hint_alone(provider: str, key: str, hint: str) -> None:
    assert as_stored(PROVIDERS[provider], key) == key
    found = hint_of(PROVIDERS[provider], key)
    assert found is not None
    assert hint in found
    assert "canar" not in found


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("mistral", "canary\n"),
        ("mistral", "canary\x00"),
        ("mistral", "канарейка"),
        ("mistral", ""),
        ("mistral", "c" * 8_193),
        ("bedrock", '{"canary":'),
        ("bedrock", json.dumps(AWS | {"more": "canary"})),
        ("bedrock", json.dumps(AWS | {"region": "canary"})),
        ("bedrock", json.dumps(AWS | {"region": "us-east-1\n"})),
        ("bedrock", json.dumps(AWS | {"region": "us-east-1.canary.example/"})),
        ("bedrock", json.dumps(AWS | {"accessKeyId": "canary"})),
        ("bedrock", json.dumps(AWS | {"accessKeyId": "AKIAIOSFODNN7EXAMPLE\n"})),
        ("bedrock", json.dumps(AWS | {"secretAccessKey": ""})),
        ("bedrock", json.dumps(AWS | {"secretAccessKey": "canary\n"})),
        ("bedrock", json.dumps(AWS | {"secretAccessKey": 7})),
        ("azure", "canary"),
        ("azure", json.dumps(AZURE | {"resource": "canary.example/"})),
        ("azure", json.dumps(AZURE | {"resource": "canary\n"})),
        ("azure", json.dumps(AZURE | {"apiKey": "canary\r\nX-Other: 1"})),
        ("vertex", "canary"),
        ("vertex", json.dumps({"type": "authorized_user", "refresh_token": "canary"})),
        ("vertex", json.dumps(ACCOUNT | {"project_id": "canary/../other"})),
        ("vertex", json.dumps(ACCOUNT | {"private_key": "canary"})),
        ("vertex", json.dumps(ACCOUNT | {"private_key": EC_KEY})),
    ],
)
def test_what_cannot_be_a_key_is_named_without_it(provider: str, key: str) -> None:
    with pytest.raises(KeyFormError) as refused:
        as_stored(PROVIDERS[provider], key)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_key_file_of_a_service_account_is_stored_in_short() -> None:
    given = json.dumps(ACCOUNT | {"token_uri": "https://evil.example/token", "universe_domain": "evil"}, indent=2)
    stored = as_stored(PROVIDERS["vertex"], given + "\n")
    assert stored.isprintable()
    assert set(json.loads(stored)) == set(ACCOUNT)
    assert "evil" not in stored
    account = service_account(stored)
    assert (account.project, account.email) == ("project-1", "sluice@project-1.iam.gserviceaccount.com")
    assert ACCOUNT["private_key"] not in repr(account)


def test_an_account_s_assertion_is_as_google_documents_it() -> None:
    url = "https://oauth2.googleapis.com/token"
    token = assertion(service_account(json.dumps(ACCOUNT)), url, 1_000)
    signed, _, signature = token.rpartition(".")
    header, claims = (json.loads(_unpadded(part)) for part in signed.split("."))
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert claims == {
        "iss": "sluice@project-1.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": url,
        "iat": 1_000,
        "exp": 4_600,
    }
    RSA_KEY.public_key().verify(_unpadded(signature), signed.encode(), PKCS1v15(), SHA256())


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_keys_that_users_have_are_for_a_provider_with_a_model() -> None:
    assert set(BYOK_PROVIDERS) | set(KILO_CODES) <= set(PROVIDERS)
    models = {model.provider for model in load_config(None).models}
    servers_of_one_s_own = {"lmstudio", "ollama", "vllm"}
    assert set(PROVIDERS) - models == servers_of_one_s_own
