"""What an organization's requests may not bring, cost or use: part of its policy."""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from .patterns import Patterns
from .record import Value, empty
from .word import Word

MOST_WORDS = 200
MOST_CONDITIONS = 20
MOST_CONDITION_CHARACTERS = 500
MOST_TEXT_PATTERNS = 20
MOST_REGEX_CHARACTERS = 200


class Kind(Word):
    """What is found in texts by its form."""

    EMAIL = "email"
    PHONE = "phone"
    CREDIT_CARD = "credit_card"
    IBAN = "iban"
    IP = "ip"
    SECRET = "secret"  # noqa: S105
    """Keys of providers and clouds, private keys, tokens."""


Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)]


class TextPattern(Value):
    """What an organization looks for itself, by a regular expression of RE2; see `libs.policy.expressions`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    """A refusal names it, ``guardrails.patterns.<name>``; what is replaced becomes ``[NAME]``."""
    regex: Annotated[str, Field(min_length=1, max_length=MOST_REGEX_CHARACTERS)]
    action: Literal["redact", "deny"] = "redact"


TextPatterns = Annotated[list[TextPattern], Field(max_length=MOST_TEXT_PATTERNS)]


class AnswerRules(Value):
    """Rules about answers, whole and streamed. A refusal names its rule, for example ``guardrails.answers.deny``."""

    redact: list[Kind] = empty(list)
    """Replaced by its name, for example ``[EMAIL]``, before the answer is on the log."""
    deny: list[Kind] = empty(list)
    """An answer with one is refused; a stream ends there with an error."""
    words_deny: Words = empty(list)
    """Texts that no answer may have; case does not matter."""
    patterns: TextPatterns = empty(list)
    """What is replaced in answers, or refuses them."""
    tools_allow: list[str] | None = None
    """Names or wildcards of tools that a model may call; None: any."""

    schema_asked: bool = False
    """An answer to a request that asks for JSON, or for a JSON schema, must be of it, whoever the provider is."""
    json_schema: dict[str, Any] | None = None
    """Every answer must be JSON of this schema."""

    @cached_property
    def tools(self) -> Patterns | None:
        """The allow list of tools, compiled."""
        return None if self.tools_allow is None else Patterns(self.tools_allow)

    @property
    def are_of_texts_or_tools(self) -> bool:
        """There is a rule about what an answer says or calls."""
        return bool(self.redact or self.deny or self.words_deny or self.patterns) or self.tools_allow is not None

    @property
    def ask_something(self) -> bool:
        """There is a rule."""
        return self.are_of_texts_or_tools or self.schema_asked or self.json_schema is not None


class Condition(Value):
    """When requests are refused: an expression over what is known of them, see `libs.policy.conditions`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    """A refusal names it: ``guardrails.conditions.<name>``."""
    refuse_when: Annotated[str, Field(min_length=1, max_length=MOST_CONDITION_CHARACTERS)]
    """In CEL."""
    message: Annotated[str, Field(max_length=200)] = ""
    """For the client."""


class WebhookRules(Value):
    """When the organization's own webhook is asked about a request or its answer."""

    before: bool = True
    """Before a provider, or a tool's server, has the request."""
    after: bool = False
    """Before the client has the answer. Streams are held back until they are whole."""
    timeout_ms: Annotated[int, Field(ge=100, le=10_000)] = 2_000
    on_failure: Literal["refuse", "allow"] = "refuse"
    """What becomes of a request that the webhook does not answer for."""


class Guardrails(Value):
    """Rules about single requests. A refusal names its rule, for example ``guardrails.tools_allow``."""

    max_request_microdollars: Annotated[int, Field(ge=0)] | None = None
    """The most that a request can cost, by the bounds that credit is held by."""
    tools_allow: list[str] | None = None
    """Names or wildcards of tools that a request may offer; None: any."""
    redact: list[Kind] = empty(list)
    """Replaced by its name, for example ``[EMAIL]``, before the prompt is on the log."""
    deny: list[Kind] = empty(list)
    """A request with one is refused."""
    words_deny: Words = empty(list)
    """Texts that no request may have; case does not matter."""
    patterns: TextPatterns = empty(list)
    """What is replaced in prompts before they are on the log, or refuses them."""
    conditions: Annotated[list[Condition], Field(max_length=MOST_CONDITIONS)] = empty(list)
    """The first that holds refuses."""
    answers: AnswerRules | None = None
    webhook: WebhookRules | None = None

    @cached_property
    def tools(self) -> Patterns | None:
        """The allow list of tools, compiled."""
        return None if self.tools_allow is None else Patterns(self.tools_allow)

    @property
    def read_texts(self) -> bool:
        """The texts of requests matter."""
        return bool(self.redact or self.deny or self.words_deny or self.patterns)
