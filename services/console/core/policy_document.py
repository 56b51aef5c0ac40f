"""A policy as people write it, and as it is stored. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.guardrails import (
    MOST_CONDITION_CHARACTERS,
    MOST_CONDITIONS,
    MOST_REGEX_CHARACTERS,
    MOST_TEXT_PATTERNS,
    MOST_WORDS,
    Kind,
)
from contracts.mcp import Patterned, RuleFor
from libs.chat.exact_json import encode
from libs.policy import expressions
from libs.policy.conditions import ConditionError, check
from libs.pricing.usd import parse_usd, usd
from services.console.answers import Body, Usd
from services.console.errors import BadInput

MOST_SCHEMA_CHARACTERS = 16_384
MOST_PATTERNS = 1_000
MOST_SLOW_PATTERNS = 100


class TextPatternDocument(Body):
    """What is looked for by a regular expression."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    """A refusal names it: ``guardrails.patterns.<name>``; what is replaced becomes ``[NAME]``."""
    regex: Annotated[str, Field(min_length=1, max_length=MOST_REGEX_CHARACTERS)]
    """In RE2's syntax, without ``^`` and ``$``, with an end to what is repeated: ``docs/guardrails.md``."""
    action: Literal["redact", "deny"] = "redact"


class AnswerRulesDocument(Body):
    """Rules about answers, whole and streamed."""

    redact: Annotated[list[Kind], Field(max_length=len(Kind))] | None = None
    """What is replaced in answers."""
    deny: Annotated[list[Kind], Field(max_length=len(Kind))] | None = None
    """What no answer may have."""
    words_deny: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)] | None
    ) = None
    """Texts that no answer may have; case does not matter."""
    patterns: Annotated[list[TextPatternDocument], Field(max_length=MOST_TEXT_PATTERNS)] | None = None
    """What is replaced in answers, or refuses them."""
    tools_allow: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)] | None
    ) = None
    """Names or wildcards of tools that a model may call."""
    schema_asked: bool | None = None
    """An answer to a request that asks for JSON, or for a JSON schema, must be of it."""
    json_schema: dict[str, Any] | None = None
    """Every answer must be JSON of this schema."""


class ConditionDocument(Body):
    """When requests are refused."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    """A refusal names it: ``guardrails.conditions.<name>``."""
    refuse_when: Annotated[str, Field(min_length=1, max_length=MOST_CONDITION_CHARACTERS)]
    """In CEL, without loops, over what is known of a request: `docs/guardrails.md`."""
    message: Annotated[str, Field(max_length=200)] | None = None
    """For the client."""


class WebhookRulesDocument(Body):
    """When the organization's own webhook is asked."""

    before: bool = True
    """Before a provider, or a tool's server, has the request."""
    after: bool = False
    """Before the client has the answer. Streams are held back until they are whole."""
    timeout_ms: Annotated[int, Field(ge=100, le=10_000)] = 2_000
    on_failure: Literal["refuse", "allow"] = "refuse"
    """What becomes of a request that it does not answer for."""


class GuardrailsDocument(Body):
    """Rules about single requests."""

    max_request_usd: Usd | None = None
    """The most that a request can cost, by the bounds that credit is held by."""
    tools_allow: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)] | None
    ) = None
    """Names or wildcards of tools that a request may offer."""
    redact: Annotated[list[Kind], Field(max_length=len(Kind))] | None = None
    """What is replaced in prompts before they are on the log."""
    deny: Annotated[list[Kind], Field(max_length=len(Kind))] | None = None
    """What no prompt may have."""
    words_deny: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)] | None
    ) = None
    """Texts that no prompt may have; case does not matter."""
    patterns: Annotated[list[TextPatternDocument], Field(max_length=MOST_TEXT_PATTERNS)] | None = None
    """What is replaced in prompts before they are on the log, or refuses them."""
    conditions: Annotated[list[ConditionDocument], Field(max_length=MOST_CONDITIONS)] | None = None
    """The first that holds refuses."""
    answers: AnswerRulesDocument | None = None
    webhook: WebhookRulesDocument | None = None


class ToolRulesDocument(Body):
    """Tools of MCP servers, by names or wildcards of ``server__tool``; what is denied is not allowed by others."""

    allow: Patterned | None = None
    """Left out: all."""
    deny: Patterned | None = None


class ContentsDocument(Body):
    """Prompts and answers go to the gateway's sinks, for who reviews them; without this they are kept nowhere."""

    prompts: bool = True
    answers: bool = True
    redact: Annotated[list[Kind], Field(max_length=len(Kind))] = list(Kind)
    """What is replaced before they are written; without a list, all kinds."""
    keep_days: Annotated[int, Field(ge=0, le=365)] = 30
    """After so many days they are deleted."""


class PolicyDocument(Body):
    """An organization's rules; a rule that is left out allows all."""

    model_allow: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MOST_PATTERNS)] | None
    ) = None
    """Model IDs, or wildcards such as ``anthropic/*``; with the star elsewhere than at the end no more than 100."""
    provider_allow: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=MOST_PATTERNS)] | None
    ) = None
    data_collection: Literal["allow", "deny"] | None = None
    """``deny``: no model whose provider keeps what it is sent."""
    member_daily_limit_usd: Usd | None = None
    """What each member may spend from one midnight UTC to the next."""
    member_daily_limits_usd: dict[str, Usd] | None = None
    """By account ID, for members with a limit of their own."""
    guardrails: GuardrailsDocument | None = None
    contents: ContentsDocument | None = None
    mcp: dict[RuleFor, ToolRulesDocument] | None = None
    """Which tools of MCP servers who may call: by role, and ``*`` for all; both must permit a tool."""


def stored(document: PolicyDocument) -> dict[str, Any]:
    """As it is stored and published: amounts in microdollars.

    Raises:
        BadInput: a limit is below 0, a condition is none, or there are too many patterns that each request must be
            compared with.
    """
    if sum("*" in pattern.rstrip("*") for pattern in document.model_allow or ()) > MOST_SLOW_PATTERNS:
        raise BadInput(f"at most {MOST_SLOW_PATTERNS} patterns of model_allow may have a * elsewhere than at the end")
    kept = document.model_dump(
        exclude_none=True, exclude={"member_daily_limit_usd", "member_daily_limits_usd", "guardrails", "contents"}
    )
    if document.contents is not None:
        kept["contents"] = document.contents.model_dump(mode="json")
    if document.member_daily_limit_usd is not None:
        kept["member_daily_limit_microdollars"] = _limit(document.member_daily_limit_usd)
    if document.member_daily_limits_usd:
        kept["member_daily_limits"] = {
            account_id: _limit(text) for account_id, text in document.member_daily_limits_usd.items()
        }
    if document.guardrails is not None:
        rules = document.guardrails
        if rules.answers and len(encode(rules.answers.json_schema)) > MOST_SCHEMA_CHARACTERS:
            raise BadInput(f"json_schema has at most {MOST_SCHEMA_CHARACTERS:,} characters")
        for one in rules.conditions or ():
            _check(one)
        for pattern in (*(rules.patterns or ()), *((rules.answers and rules.answers.patterns) or ())):
            _check_pattern(pattern)
        kept["guardrails"] = rules.model_dump(mode="json", exclude_none=True, exclude={"max_request_usd"})
        if rules.max_request_usd is not None:
            kept["guardrails"]["max_request_microdollars"] = _limit(rules.max_request_usd)
    return kept


def shown(document: Mapping[str, Any]) -> PolicyDocument:
    """The inverse of `stored`: what is shown can be set again."""
    fields = {name: value for name, value in document.items() if not name.startswith("member_daily_limit")}
    if "member_daily_limit_microdollars" in document:
        fields["member_daily_limit_usd"] = usd(document["member_daily_limit_microdollars"])
    if "member_daily_limits" in document:
        limits = document["member_daily_limits"].items()
        fields["member_daily_limits_usd"] = {account_id: usd(amount) for account_id, amount in limits}
    if "guardrails" in document:
        rules = dict(document["guardrails"])
        if "max_request_microdollars" in rules:
            rules["max_request_usd"] = usd(rules.pop("max_request_microdollars"))
        fields["guardrails"] = rules
    return PolicyDocument.model_validate(fields)


def _check(condition: ConditionDocument) -> None:
    try:
        check(condition.refuse_when)
    except ConditionError as error:
        raise BadInput(f"the condition {condition.name}: {error}") from None


def _check_pattern(pattern: TextPatternDocument) -> None:
    try:
        expressions.check(pattern.regex)
    except expressions.ExpressionError as error:
        raise BadInput(f"the pattern {pattern.name}: {error}") from None


def _limit(text: str) -> int:
    amount = parse_usd(text)
    if amount < 0:
        raise BadInput("a limit is 0 or more")
    return amount
