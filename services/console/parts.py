"""What the console's routes work with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from libs.config.catalog import Catalog
from libs.database.pool import Database
from libs.identity.addresses import ForwardedHeader
from services.console.core.attempts import SignInAttempts
from services.console.provider_keys import ProviderKeys
from services.console.signing import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Parts:
    """Made once, in `services.console.app`."""

    database: Database
    signing: SigningKeys
    provider_keys: ProviderKeys
    catalog: Catalog
    operator_token: str
    gateway_url: str
    """Where clients send requests, for snippets."""
    playground_url: str
    """Where the playground sends them."""
    changed: Callable[[], None]
    """Called after each change, so that the outbox is published at once."""
    proxies: int = 0
    """See `libs.identity.addresses.caller_address`."""
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    tails: set[object] = field(default_factory=set)
    """Streams of live requests that are open."""
    playground_runs: set[object] = field(default_factory=set)
    """Answers that are streamed now."""
    sign_ins: SignInAttempts = field(default_factory=SignInAttempts)
