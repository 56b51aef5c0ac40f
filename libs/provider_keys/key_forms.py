"""What a provider's key must be to be one, and what it is likely to look like. Pure.

Only what cannot be a key is refused: providers change the form of their keys without notice. The live check
(`libs.provider_keys.live_check`) decides.
"""

from libs.config.providers import Provider
from libs.provider_keys.documents import KeyFormError, azure_key, bedrock_access_key, compact, service_account

MOST_CHARACTERS = 8_192


def as_stored(provider: Provider, key: str) -> str:
    """The key as it is stored: JSON without white space and without what nobody needs, any other as it is.

    Raises:
        KeyFormError: it cannot be a key of the provider.
    """
    if not key or len(key) > MOST_CHARACTERS:
        raise KeyFormError(f"a key has 1 to {MOST_CHARACTERS} characters")
    if provider.platform == "vertex":
        key = service_account(key).document
    elif key.lstrip().startswith("{"):
        key = compact(key)
    if not key.isascii() or not key.isprintable():
        raise KeyFormError("a key is of printable ASCII characters, without line breaks")
    if provider.protocol == "bedrock-converse":
        bedrock_access_key(key)
    elif provider.platform == "azure":
        azure_key(key, wants_resource="{resource}" in provider.base_url)
    return key


def hint_of(provider: Provider, key: str) -> str | None:
    """What speaks against a key that is stored all the same; None where nothing does. It quotes nothing of the key."""
    if key.startswith("{"):
        return None
    if any(character.isspace() for character in key):
        return "it holds white space, which keys do not; --check asks the provider"
    if provider.key_begins and not key.startswith(tuple(provider.key_begins)):
        begins = " or ".join(repr(one) for one in provider.key_begins)
        return f"keys of {provider.name} begin with {begins} today; --check asks the provider"
    return None
