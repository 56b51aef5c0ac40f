"""Forms of provider keys."""

import json

import pytest

from libs.config.gateway import load_config
from libs.provider_keys.key_forms import KeyFormError, check_form

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


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("openai", "sk-proj-abc"),
        ("anthropic", "sk-ant-api03-abc"),
        ("google", "AIzaSyExample"),
        ("xai", "xai-abc"),
        ("mistral", "anything"),
        ("bedrock", "ABSKexample"),
        ("bedrock", json.dumps(AWS)),
    ],
)
def test_right_forms(provider: str, key: str) -> None:
    check_form(provider, key)


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("openai", "pk-canary"),
        ("anthropic", "sk-canary"),
        ("google", "sk-canary"),
        ("mistral", "two canaries"),
        ("mistral", "canary\n"),
        ("mistral", "канарейка"),
        ("mistral", ""),
        ("bedrock", '{"canary":'),
        ("bedrock", json.dumps(AWS | {"more": "canary"})),
        ("bedrock", json.dumps(AWS | {"region": "canary"})),
        ("bedrock", json.dumps(AWS | {"accessKeyId": "canary"})),
        ("bedrock", json.dumps(AWS | {"secretAccessKey": ""})),
        ("bedrock", json.dumps(AWS | {"secretAccessKey": 7})),
    ],
)
def test_wrong_forms_are_named_without_the_key(provider: str, key: str) -> None:
    with pytest.raises(KeyFormError) as refused:
        check_form(provider, key)
    assert "canary" not in str(refused.value)


def test_keys_that_users_have_are_for_a_provider_with_a_model() -> None:
    providers = load_config(None).providers
    assert set(BYOK_PROVIDERS) | set(KILO_CODES) <= set(providers)
    models = {model.provider for model in load_config(None).models}
    servers_of_one_s_own = {"lmstudio", "ollama", "vllm"}
    assert set(providers) - models == servers_of_one_s_own
