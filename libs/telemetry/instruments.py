"""Every metric of Sluice: the one module that names them. docs/metrics.md is generated from it.

Names and labels follow OpenTelemetry's semantic conventions (gen_ai, http, messaging, process) where there is one.
"""

from contracts.record import Refusal
from libs.telemetry.metrics import SECONDS, TOKENS, Counter, Gauge, Histogram, Instrument

SURFACE, MODEL, PROVIDER = "http.route", "gen_ai.request.model", "gen_ai.provider.name"
STATUS, ERROR, GROUP, TOPIC = (
    "http.response.status_code",
    "error.type",
    "messaging.consumer.group.name",
    "messaging.destination.name",
)

# The door.
HTTP_DURATION = Histogram(
    "http.server.request.duration",
    "s",
    (SURFACE, STATUS),
    "From a request's first byte to its answer's last, as the client has it; refusals included.",
    SECONDS,
)
REQUEST_DURATION = Histogram(
    "sluice.request.duration", "s", (SURFACE, MODEL), "The same of requests that were let in, by model.", SECONDS
)
REQUESTS = Counter(
    "sluice.requests", "{request}", (SURFACE, MODEL, STATUS), "Requests that were let in, by the status of the answer."
)
REPLAYED = Counter(
    "sluice.requests.replayed",
    "{request}",
    (SURFACE, STATUS),
    "Requests that were sent again with their Idempotency-Key, and given the answer of the first.",
)
WAITING = Gauge("sluice.requests.waiting", "{request}", (), "Clients that wait for an answer or read one.")
REPLY_BUFFER = Gauge("sluice.reply.buffer", "By", (), "Of answers that came off the log and were not sent yet.")
SHEDS = Counter(
    "sluice.sheds", "{request}", ("sluice.shed.reason",), "Refused at the door: `alone` (503) or `shared` (429)."
)
PLACES = Gauge(
    "sluice.door.places",
    "{request}",
    ("sluice.door.state",),
    "Requests `inside`, those that are `waiting` for a place, and the `limit`.",
)

BATCHES = Gauge(
    "sluice.batches",
    "{batch}",
    ("sluice.batch.status",),
    "Batches that have not ended, by OpenAI's status. Every ingress says the same.",
)
BATCHES_ENDED = Counter(
    "sluice.batches.ended", "{batch}", ("sluice.batch.status",), "Batches that this ingress has ended, by how."
)
BATCH_LINES = Counter(
    "sluice.batch.lines",
    "{line}",
    ("sluice.outcome",),
    "Lines of batches that are on the log: `completed` with an answer, or `failed`.",
)

# Decisions.
DECISIONS = Counter(
    "sluice.decisions",
    "{decision}",
    ("sluice.decider", STATUS),
    "Verdicts of policy, key-vault and rate-limit: the status of the refusal, or 200.",
)
HOLDS = Gauge(
    "sluice.holds",
    "{request}",
    (),
    "Requests that hold something of a limit or a credit, of the first 20,000 owners.",
)
HELD = Gauge("sluice.holds.microdollars", "{microdollar}", (), "Credit that is held, likewise.")
LINES = Gauge("sluice.line.waiting", "{request}", (), "Requests that wait until a limit has room for them.")
JOINS = Gauge("sluice.joins.pending", "{request}", (), "Requests at a router that wait for a decision.")
ROUTES = Counter("sluice.routes", "{route}", (STATUS,), "Routes by the status of the rejection; 200: planned.")
STANDING = Gauge(
    "sluice.provider.standing",
    "1",
    (PROVIDER,),
    "How a router takes a provider to be: 0 well, 1 limited (429 a moment ago), 2 its breaker is open, 3 it is down.",
)

# Providers.
KEYS_RESTING = Gauge(
    "sluice.provider.keys.resting",
    "{key}",
    (PROVIDER,),
    "Of the gateway's own keys: those that a provider has had enough of, or refuses, and that are not used now.",
)
KEY_USED = Gauge(
    "sluice.provider.key.used",
    "1",
    (PROVIDER, "sluice.provider.variable", "sluice.meter"),
    "Of the gateway's own keys with quotas, by the name of their variable: what was used in the meter's window now; "
    "requests, tokens, or microdollars. Every key vault says the same.",
)
KEY_QUOTA = Gauge(
    "sluice.provider.key.quota",
    "1",
    (PROVIDER, "sluice.provider.variable", "sluice.meter"),
    "What may be used of them, in the same unit.",
)
OPERATION_DURATION = Histogram(
    "gen_ai.client.operation.duration",
    "s",
    ("gen_ai.operation.name", PROVIDER, MODEL, ERROR),
    "Of one call of a provider, to the end of its answer.",
    SECONDS,
)
FIRST_CHUNK = Histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    ("gen_ai.operation.name", PROVIDER, MODEL),
    "From the call of a provider to the first byte of its stream.",
    SECONDS,
)
TOKEN_USAGE = Histogram(
    "gen_ai.client.token.usage",
    "{token}",
    ("gen_ai.operation.name", PROVIDER, MODEL, "gen_ai.token.type"),
    "Tokens of one call, `input` and `output`, as they are booked.",
    TOKENS,
)

# The books.
ENDED = Counter(
    "sluice.requests.ended", "{request}", (MODEL, "sluice.outcome"), "Requests in the ledger, by how they ended."
)
COST = Counter(
    "sluice.cost.microdollars",
    "{microdollar}",
    (MODEL, PROVIDER),
    "What was charged. A hint for dashboards: after a crash a batch may count twice; the ledger is exact.",
)

# The log.
LAG = Gauge("sluice.consumer.lag", "{message}", (GROUP, TOPIC), "Records behind the newest, of the partitions held.")
CONSUMED = Counter("messaging.client.consumed.messages", "{message}", (GROUP, TOPIC), "Records that were processed.")
PROCESS_DURATION = Histogram(
    "messaging.process.duration", "s", (GROUP,), "Of one batch through its processor.", SECONDS
)
SENT = Counter("messaging.client.sent.messages", "{message}", (TOPIC,), "Records that were published.")
DEAD_LETTERS = Counter(
    "sluice.dead_letters", "{message}", (GROUP, TOPIC), "Records that could not be read, believed or handled."
)

LETTERS_WAITING = Gauge(
    "sluice.dead_letters.waiting",
    "{message}",
    (TOPIC,),
    "Dead letters that nobody has resolved; counted by the service `sinks`, every 15 s.",
)

# Sinks.
SINK_EVENTS = Counter("sluice.sink.events", "{event}", ("sluice.sink",), "Events that a receiver has taken.")
SINK_FAILURES = Counter(
    "sluice.sink.failures", "{attempt}", ("sluice.sink", ERROR), "Attempts that failed; what was not taken comes again."
)

ALERT_MAILS = Counter(
    "sluice.alert_mails",
    "{mail}",
    ("sluice.outcome",),
    "Mails to owners about alerts: `sent`, `refused`, `given up`, or `failed` once and tried again.",
)

# The process.
READY = Gauge("sluice.ready", "1", (), "1 when the service does its work, else 0.")
PROBLEMS = Gauge(
    "sluice.problems", "1", ("sluice.problem",), "1 where something is to be seen to, as `/readyz` says it in words."
)
FAILURES = Gauge("sluice.background.failures", "{failure}", ("sluice.work",), "Of the work beside the records, in all.")
CPU = Gauge("process.cpu.time", "s", (), "User and system time since the process began.")
MEMORY = Gauge("process.memory.usage", "By", (), "Resident.")

ALL: tuple[Instrument, ...] = tuple(found for found in list(globals().values()) if isinstance(found, Instrument))


def count_decision(decider: str, refusal: Refusal | None) -> None:
    """Counts a verdict; None: it lets the request in."""
    DECISIONS.add(1, decider, str(refusal.status if refusal else 200))
