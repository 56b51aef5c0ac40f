"""What the console's routes work with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from libs.database.pool import Database
from libs.identity.addresses import ForwardedHeader
from services.console.batches import Batches
from services.console.core.attempts import SignInAttempts
from services.console.dead_letters import DeadLetterQueues
from services.console.key_quotas import ProviderKeyUses
from services.console.live import Live
from services.console.meters import Meters
from services.console.provider_keys import ProviderKeys
from services.console.signing import SigningKeys
from services.console.single_sign_on import SingleSignOn
from services.console.sinks import Sinks
from services.console.verdicts import VerdictLog


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Parts:
    """Made once, in `services.console.app`."""

    database: Database
    signing: SigningKeys
    provider_keys: ProviderKeys
    meters: Meters
    dead_letters: DeadLetterQueues
    sinks: Sinks
    live: Live
    batches: Batches
    key_uses: ProviderKeyUses
    verdicts: VerdictLog
    versions: CatalogVersions
    config: GatewayConfig
    """As this console was started with."""
    operator_token: str
    gateway_url: str
    """Where clients send requests, for snippets."""
    playground_url: str
    """Where the playground sends them."""
    stripe_secrets: tuple[str, ...] = ()
    """Of Stripe's webhook."""
    sign_on: SingleSignOn | None = None
    sign_on_domains: frozenset[str] = frozenset()
    """Who has an e-mail address of one of these is made an account by signing in."""
    public_url: str | None = None
    """Where browsers reach the console; None: where they say that they do."""
    mails: bool = False
    """Owners are notified of alerts by mail."""
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

    @property
    def catalog(self) -> Catalog:
        """What is served now."""
        return self.versions.newest
