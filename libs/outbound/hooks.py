"""An organization's own webhook that is asked about requests: address and secret, one document, sealed whole. Pure."""

from dataclasses import dataclass, field

from pydantic_core import from_json, to_json

from libs.outbound.addresses import AddressError, Reachable
from libs.outbound.signatures import secrets_of
from libs.sealing.secret import Secret

HOOK = "webhook/guardrails"
"""What it is called where others are providers. An organization has one."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where it is, and the secret that requests are signed with. Its repr shows neither."""

    url: str = field(repr=False)
    secret: str = field(repr=False)

    def check(self, reachable: Reachable) -> None:
        """Raises AddressError, or ValueError where the secret is none."""
        if "?" in self.url:
            raise AddressError("the address of a webhook has no query")
        reachable.checked(self.url)
        secrets_of(self.secret)

    def encode(self) -> Secret:
        """As it is sealed."""
        return Secret(to_json({"url": self.url, "secret": self.secret}).decode())

    @classmethod
    def decode(cls, secret: Secret) -> "Hook":
        """Inverse of `encode`. Raises ValueError or KeyError."""
        found = from_json(secret.reveal())
        return cls(str(found["url"]), str(found["secret"]))
