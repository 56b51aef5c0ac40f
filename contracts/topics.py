"""All topics: names, records, keys, and how the log keeps them."""

from typing import Any, TypeVar

from . import catalog, control, credit
from .alerts import AlertChanged
from .answers import AnswerCached, AnswersForgotten
from .attempts import Attempt, AttemptEnded, AttemptStarted
from .batches import (
    BatchAdvanced,
    BatchCancelled,
    BatchCreated,
    BatchEnded,
    BatchEvent,
    BatchLeased,
    BatchOrdered,
    FileDeleted,
    FileStored,
    PartSealed,
)
from .charges import ChargePosted
from .claims import PartitionClaimed
from .contents import ContentRecorded
from .decisions import CredentialGranted, PolicyDecided, QuotaReserved
from .idempotency import KEPT_MS, KeyClaimed
from .letters import DeadLetterResolved
from .limits import LimitsSet, MeterSaved
from .outcomes import OutcomesCounted, ProviderKeyUsed
from .prompts import PromptSubmitted
from .quota import QuotaStateSaved
from .record import Lasting, ReplyAddress, RequestRecord, StateRecord
from .replies import PromptWanted, ReplyChunk, ReplyEnded, ReplyRecord, ReplyStarted
from .requests import KeyUsed, ReplyRead, RequestAccepted, RequestCancelled
from .responses import ResponseBegun, ResponseDeleted, ResponseSealed, ResponseStored, StoreEvent
from .routes import RequestRejected, Route, RoutePlanned
from .sinks import SinkBackfillOrdered, SinkReported
from .topic import DAY_MS, Spread, Topic
from .usage import UsageRecorded
from .vault import CredentialRemoved, CredentialSubmitted, CredentialTestOrdered, RewrapOrdered, VaultCommand

SMALL = 1024 * 1024
LARGE = 32 * 1024 * 1024
HOUR_MS = 3600 * 1000
MONTH_MS = 30 * DAY_MS

S = TypeVar("S", bound=StateRecord)


def _request_id(record: RequestRecord) -> str:
    return record.request_id


def _subject(record: RequestAccepted | PolicyDecided | QuotaReserved | CredentialGranted | UsageRecorded) -> str:
    return record.subject


# The way of a request.
REQUESTS = Topic(
    "gateway.requests.v1",
    (RequestAccepted,),
    key=_subject,
    reply_to=lambda record: record.reply_to,
    # A route has most of the request, and the grants beside it.
    max_record_bytes=SMALL,
)
PROMPTS = Topic("gateway.prompts.v1", (PromptSubmitted,), key=_request_id, max_record_bytes=LARGE)
POLICY_DECISIONS = Topic("gateway.policy-decisions.v1", (PolicyDecided,), key=_subject)
QUOTA_DECISIONS = Topic("gateway.quota-decisions.v1", (QuotaReserved,), key=_subject)
CREDENTIAL_GRANTS = Topic("gateway.credential-grants.v1", (CredentialGranted,), key=_subject)
ROUTES: Topic[Route] = Topic(
    "gateway.routes.v1",
    (RoutePlanned, RequestRejected),
    key=lambda route: route.request_id,
    reply_to=lambda route: route.reply_to,
)
CANCELLATIONS: Topic[RequestCancelled | ReplyRead] = Topic(
    "gateway.cancellations.v1", (RequestCancelled, ReplyRead), key=_request_id
)
ATTEMPTS: Topic[Attempt] = Topic(
    "gateway.attempts.v1", (AttemptStarted, AttemptEnded), key=_request_id, max_record_bytes=LARGE
)
REPLIES: Topic[ReplyRecord] = Topic(
    "gateway.replies.v1",
    (ReplyStarted, ReplyChunk, ReplyEnded, PromptWanted),
    key=_request_id,
    partition=lambda reply: reply.reply_to.partition,
    reply_to=lambda reply: reply.reply_to,
    spread=Spread.REPLIES,
    # So long a broken stream can be gone on with.
    retention_ms=15 * 60 * 1000,
    max_record_bytes=LARGE,
)
KEPT_REPLIES: Topic[ReplyRecord] = Topic(
    "gateway.kept-replies.v1",
    (ReplyStarted, ReplyChunk, ReplyEnded, PromptWanted),
    key=_request_id,
    partition=lambda reply: reply.reply_to.partition,
    reply_to=lambda reply: reply.reply_to,
    spread=Spread.REPLIES,
    # No key stands for an answer that is not there any more.
    retention_ms=KEPT_MS + HOUR_MS,
    max_record_bytes=LARGE,
)
IDEMPOTENCY = Topic(
    "gateway.idempotency.v1", (KeyClaimed,), key=lambda claim: claim.locator, retention_ms=KEPT_MS + HOUR_MS
)
CLAIMS = Topic("gateway.claims.v1", (PartitionClaimed,), key=lambda claim: str(claim.partition), spread=Spread.SINGLE)

# Answers that clients want kept.
RESPONSES = Topic(
    "responses.contents.v1",
    (ResponseSealed,),
    key=lambda response: response.locator,
    retention_ms=MONTH_MS,
    max_record_bytes=LARGE,
)
RESPONSE_INDEX: Topic[StoreEvent] = Topic(
    "responses.index.v1",
    (ResponseStored, ResponseBegun, ResponseDeleted),
    key=lambda event: event.locator,
    spread=Spread.SINGLE,
    retention_ms=MONTH_MS,
)

# Files of clients, and batches of requests.
FILES = Topic(
    "files.contents.v1",
    (PartSealed,),
    key=lambda part: part.locator,
    retention_ms=MONTH_MS,
    max_record_bytes=LARGE,
)
BATCH_ORDERS = Topic(
    "batches.orders.v1",
    (BatchOrdered,),
    key=lambda ordered: ordered.locator,
    # No batch runs for longer; afterwards its client alone opens it.
    retention_ms=2 * DAY_MS,
)
BATCH_INDEX: Topic[BatchEvent] = Topic(
    "batches.index.v1",
    (FileStored, FileDeleted, BatchCreated, BatchLeased, BatchAdvanced, BatchCancelled, BatchEnded),
    key=lambda event: event.locator,
    spread=Spread.SINGLE,
    retention_ms=MONTH_MS,
)

# Answers that are given again. A relay that starts takes the last hour in.
ANSWERS: Topic[AnswerCached | AnswersForgotten] = Topic(
    "gateway.answers.v1",
    (AnswerCached, AnswersForgotten),
    key=lambda record: record.event_subject,
    spread=Spread.SINGLE,
    retention_ms=HOUR_MS,
)

# Texts of organizations that keep them; for the sinks, which open them.
CONTENTS = Topic(
    "sinks.contents.v1",
    (ContentRecorded,),
    key=_request_id,
    # So long a sink may be away.
    retention_ms=3 * DAY_MS,
    max_record_bytes=LARGE,
)

# What services report.
OUTCOMES = Topic(
    "gateway.outcomes.v1",
    (OutcomesCounted,),
    key=lambda counted: counted.provider_id,
    spread=Spread.SINGLE,
    retention_ms=HOUR_MS,
)
PROVIDER_KEY_USES = Topic(
    "gateway.provider-key-uses.v1",
    (ProviderKeyUsed,),
    key=lambda used: used.state_key,
    spread=Spread.SINGLE,
    compacted=True,
    # What counts longest is a month.
    forget_ms=40 * DAY_MS,
)
KEY_USES = Topic("gateway.key-uses.v1", (KeyUsed,), key=lambda use: use.key_fingerprint, spread=Spread.SINGLE)
METERS = Topic(
    "quota.meters.v1",
    (MeterSaved,),
    key=lambda saved: saved.state_key,
    partition_by=lambda saved: saved.owner,
    compacted=True,
    # What counts longest is a month.
    forget_ms=40 * DAY_MS,
)
QUOTA_STATE = Topic("quota.state.v1", (QuotaStateSaved,), key=lambda state: state.subject, compacted=True)

# The books.
USAGE = Topic("gateway.usage.v1", (UsageRecorded,), key=_subject, retention_ms=MONTH_MS)
CHARGES = Topic("billing.charges.v1", (ChargePosted,), key=lambda charge: charge.subject, retention_ms=MONTH_MS)
ORDERS = Topic(
    "billing.orders.v1",
    (credit.CreditOrdered,),
    key=lambda order: order.owner,
    signed_by="console",
    retention_ms=MONTH_MS,
)
CREDIT: Topic[credit.CreditEvent] = Topic(
    "billing.credit.v1",
    (credit.CreditPosted, credit.BalanceLow, credit.TopUpDue, credit.ReservationExceeded),
    key=lambda event: event.owner,
    retention_ms=MONTH_MS,
)
BALANCES = Topic("billing.balances.v1", (credit.BalanceChanged,), key=lambda balance: balance.owner, compacted=True)
SPENDING = Topic(
    "billing.spending.v1",
    (credit.MemberSpent,),
    key=lambda spent: spent.state_key,
    partition_by=lambda spent: spent.owner,
    compacted=True,
    forget_ms=3 * DAY_MS,
)

# What leaves the gateway for other systems, and what somebody should know.
ALERTS = Topic(
    "sinks.alerts.v1",
    (AlertChanged,),
    key=lambda alert: alert.state_key,
    spread=Spread.SINGLE,
    compacted=True,
    forget_ms=MONTH_MS,
)
SINK_STATES = Topic(
    "sinks.states.v1",
    (SinkReported,),
    key=lambda state: state.state_key,
    spread=Spread.SINGLE,
    compacted=True,
    forget_ms=DAY_MS,
)
BACKFILLS = Topic(
    "sinks.backfills.v1",
    (SinkBackfillOrdered,),
    key=lambda ordered: ordered.sink,
    spread=Spread.SINGLE,
    compacted=True,
)

# What the operator did.
RESOLUTIONS = Topic(
    "operator.dead-letters.v1",
    (DeadLetterResolved,),
    key=lambda resolved: resolved.letter_id,
    spread=Spread.SINGLE,
    compacted=True,
    forget_ms=MONTH_MS,
)

# Orders and states of the control plane.
VAULT_COMMANDS: Topic[VaultCommand] = Topic(
    "vault.commands.v1",
    (CredentialSubmitted, CredentialRemoved, CredentialTestOrdered, RewrapOrdered),
    key=lambda command: command.event_subject,
    signed_by="console",
)


def _view(name: str, record: type[S], *, signed_by: str | None) -> Topic[S]:
    """A compacted topic that services hold whole in memory."""
    return Topic(
        name, (record,), key=lambda state: state.state_key, signed_by=signed_by, spread=Spread.SINGLE, compacted=True
    )


SIGNING_KEYS = _view("control.signing-keys.v1", control.SigningKeyPublished, signed_by="console")
ACCOUNTS = _view("control.accounts.v1", control.AccountChanged, signed_by="console")
REVOCATIONS = _view("control.revocations.v1", control.KeyRevoked, signed_by="console")
MEMBERSHIPS = _view("control.memberships.v1", control.MembershipChanged, signed_by="console")
POLICIES = _view("control.policies.v1", control.PolicySet, signed_by="console")
LIMITS = _view("control.limits.v1", LimitsSet, signed_by="console")
CATALOG = _view("control.catalog.v1", catalog.CatalogPublished, signed_by="console")
CREDIT_SETTINGS = _view("control.credit-settings.v1", credit.CreditSettingsSet, signed_by="console")
VAULTS = _view("control.vaults.v1", control.VaultAnnounced, signed_by="key-vault")
CREDENTIALS = _view("control.credentials.v1", control.CredentialChanged, signed_by="key-vault")
GRANT_KEYS = _view("control.grant-keys.v1", control.EpochKeySealed, signed_by="key-vault")
RELAYS = _view("control.relays.v1", control.RelayAnnounced, signed_by="relay")
# The vault and all relays write it; it is shown, and decides nothing.
CREDENTIAL_USES = _view("control.credential-uses.v1", control.CredentialUsed, signed_by=None)


def replies_of(address: ReplyAddress) -> Topic[ReplyRecord]:
    """Where the records of an answer lie."""
    return KEPT_REPLIES if address.lasting is Lasting.KEPT else REPLIES


TOPICS: tuple[Topic[Any], ...] = tuple(found for found in list(globals().values()) if isinstance(found, Topic))

BY_NAME: dict[str, Topic[Any]] = {topic.name: topic for topic in TOPICS}
