"""``python -m services.ingress.openapi``: the OpenAPI document of the gateway's own API, as it is checked in.

Requests and answers have the shapes of `libs.chat.shapes`. Fields that are not in them pass, too: they are the
provider's. Kilo Code's and OpenRouter's prefixes are other names of the first (`services.ingress.routes`).
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.record import JSON
from contracts.replies import EVENTS
from contracts.requests import MOST_RETRIES, Surface
from libs.chat.shapes.completion import ChatRequest, Completion
from libs.chat.shapes.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from libs.chat.shapes.messages import MessagesAnswer, MessagesRequest
from libs.chat.shapes.responses import Response, ResponsesRequest
from libs.chat.shapes.schema import Schema, schema_of
from libs.chat.shapes.text_completion import TextCompletion
from libs.endpoints.multipart import TYPE as FORM
from libs.endpoints.registry import ENDPOINTS
from libs.version import VERSION
from services.ingress.core.admission import DISCONNECT_HEADER, ORGANIZATION_HEADER
from services.ingress.core.caching import HEADER as CACHE_HEADER
from services.ingress.core.labels import CUSTOMER_HEADERS, TAG_HEADERS
from services.ingress.core.retries import HEADER as RETRIES_HEADER
from services.ingress.routes import PATHS, PREFIXES, ROOT

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_OBJECT: Schema = {"type": "object"}
_LIST: Schema = {"type": "object", "properties": {"data": {"type": "array", "items": _OBJECT}}, "required": ["data"]}
_USD: Schema = {"type": "string", "description": "US dollars, as a decimal."}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    answer: Any = None
    """The type of a whole answer, or its schema; None: bytes."""
    body: Any = None
    body_type: str = JSON
    required: tuple[str, ...] = ()
    """Fields of the body without which there is a 400."""
    streamed: bool = False
    """The answer may come as server-sent events."""
    query: Mapping[str, Schema] | None = None
    headers: Mapping[str, Schema] | None = None
    anonymous: bool = False
    """Anybody may ask."""


def _fields(**fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": sorted(fields)}


def _asked(**optional: Schema) -> Schema:
    return {"type": "object", "properties": {"model": _TEXT} | optional}


_WISHES: dict[str, Schema] = {
    ORGANIZATION_HEADER: _TEXT,
    DISCONNECT_HEADER: {"enum": ["cancel", "continue"]},
    RETRIES_HEADER: {"type": "string", "pattern": f"^([0-9]|{MOST_RETRIES})(, ?run)?$"},
    CACHE_HEADER: _TEXT,
    TAG_HEADERS[0]: _TEXT,
    CUSTOMER_HEADERS[0]: _TEXT,
    "x-session-id": _TEXT,
    "idempotency-key": _TEXT,
}
"""Headers of whoever asks a model."""
_FIM = _asked(prompt=_TEXT, suffix=_TEXT, max_tokens=_NUMBER, stream={"type": "boolean"})
_ENDPOINTS: dict[Surface, tuple[str, Schema, tuple[str, ...], Any]] = {
    Surface.MODERATIONS: ("Judges texts.", _asked(input={}), ("model", "input"), _OBJECT),
    Surface.IMAGE_GENERATIONS: (
        "Draws.",
        _asked(prompt=_TEXT, n=_NUMBER, size=_TEXT, quality=_TEXT),
        ("prompt",),
        _OBJECT,
    ),
    Surface.IMAGE_EDITS: ("Changes pictures.", _asked(prompt=_TEXT, image=_TEXT), ("prompt", "image"), _OBJECT),
    Surface.TRANSCRIPTIONS: ("Writes down what is said.", _asked(file=_TEXT, language=_TEXT), ("file",), _OBJECT),
    Surface.SPEECH: ("Reads aloud.", _asked(input=_TEXT, voice=_TEXT, response_format=_TEXT), ("input",), None),
    Surface.RERANK: (
        "Orders documents.",
        _asked(query=_TEXT, documents={"type": "array"}),
        ("query", "documents"),
        _OBJECT,
    ),
}
_ASKING: dict[Surface, tuple[str, Any, tuple[str, ...], Any]] = {
    Surface.CHAT_COMPLETIONS: ("A chat completion.", ChatRequest, ("messages",), Completion),
    Surface.RESPONSES: ("A response.", ResponsesRequest, ("model",), Response),
    Surface.MESSAGES: ("A message.", MessagesRequest, ("model", "max_tokens", "messages"), MessagesAnswer),
    Surface.EMBEDDINGS: ("Embeddings.", EmbeddingsRequest, ("model", "input"), EmbeddingsAnswer),
    Surface.FIM: ("What stands between two texts.", _FIM, ("model", "prompt"), Completion),
    Surface.COMPLETIONS: (
        "A completion, as before chat.",
        _asked(prompt={}, suffix=_TEXT, best_of=_NUMBER),
        ("prompt",),
        TextCompletion,
    ),
    **_ENDPOINTS,
}


def _of_surface(surface: Surface) -> Operation:
    summary, body, required, answer = _ASKING[surface]
    endpoint = ENDPOINTS.get(surface)
    return Operation(
        "post",
        PREFIXES[0] + PATHS[surface],
        summary,
        answer,
        body,
        FORM if endpoint and endpoint.multipart else JSON,
        required,
        streamed=surface is not Surface.EMBEDDINGS,
        headers=_WISHES,
        anonymous=True,
    )


def _get(path: str, summary: str, answer: Any = _OBJECT, **more: Any) -> Operation:
    return Operation("get", path, summary, answer, **more)


_BASE, _RESPONSE = PREFIXES[0], PREFIXES[0] + PATHS[Surface.RESPONSES] + "/{id}"
_ORGANIZATION = {ORGANIZATION_HEADER: _TEXT}
_BALANCE = _fields(owner=_TEXT, currency=_TEXT, balance=_USD, balance_microdollars={"type": "integer"})
_AFTER: dict[str, Schema] = {"after": _TEXT, "limit": _TEXT, "order": {"enum": ["asc", "desc"]}}
_RPC: Schema = {"type": "object", "properties": {"jsonrpc": _TEXT, "id": {}, "method": _TEXT, "params": _OBJECT}}
_BATCH = {
    "type": "object",
    "properties": {
        "input_file_id": _TEXT,
        "endpoint": _TEXT,
        "completion_window": {"enum": ["24h"]},
        "metadata": _OBJECT,
    },
}
_FILE = {"type": "object", "properties": {"purpose": {"enum": ["batch"]}, "file": _TEXT}}
_BATCHES = (
    Operation("post", f"{_BASE}/files", "Takes a file of requests in.", _OBJECT, _FILE, FORM, ("purpose", "file")),
    _get(f"{_BASE}/files", "The files that this key made.", _LIST, query=_AFTER | {"purpose": _TEXT}),
    _get(f"{_BASE}/files/{{id}}", "What is known of a file."),
    Operation("delete", f"{_BASE}/files/{{id}}", "Forgets a file.", _OBJECT),
    _get(f"{_BASE}/files/{{id}}/content", "A file.", None),
    Operation(
        "post",
        f"{_BASE}/batches",
        "Runs the requests of a file.",
        _OBJECT,
        _BATCH,
        required=("input_file_id", "endpoint"),
    ),
    _get(f"{_BASE}/batches", "The batches that this key made.", _LIST, query=_AFTER),
    _get(f"{_BASE}/batches/{{id}}", "How far a batch is."),
    Operation("post", f"{_BASE}/batches/{{id}}/cancel", "Begins no more of a batch's requests.", _OBJECT),
)
OPERATIONS: tuple[Operation, ...] = (
    *_BATCHES,
    *map(_of_surface, PATHS),
    Operation(
        "post",
        f"{_BASE}{PATHS[Surface.MESSAGES]}/count_tokens",
        "About how many tokens a message has.",
        _fields(input_tokens=_NUMBER),
        MessagesRequest,
        required=("model", "messages"),
        anonymous=True,
    ),
    Operation(
        "post",
        f"{_BASE}/mcp",
        "A message of MCP: tools of the servers that one's account or organization has registered.",
        _OBJECT,
        _RPC,
        required=("jsonrpc", "method"),
        streamed=True,
        headers=_ORGANIZATION | {"mcp-protocol-version": _TEXT, "mcp-method": _TEXT, "mcp-name": _TEXT},
    ),
    _get(_RESPONSE, "A stored response, or one that is made in the background.", Response, streamed=True,
         query={"stream": {"enum": ["true", "false"]}, "starting_after": _TEXT}),
    Operation("delete", _RESPONSE, "Forgets a response.", _OBJECT),
    Operation("post", f"{_RESPONSE}/cancel", "Ends a response that is made in the background.", Response),
    _get(f"{_RESPONSE}/input_items", "What a stored response was asked.", _LIST, query=_AFTER),
    _get(f"{_BASE}/streams/{{id}}", "An answer that broke off goes on.", _OBJECT, streamed=True, anonymous=True,
         query={"last_event_id": _TEXT}, headers={"last-event-id": _TEXT}),
    Operation("delete", f"{_BASE}/streams/{{id}}", "Ends an answer.", _OBJECT, anonymous=True),
    _get(f"{_BASE}/balance", "What is left of the credit.", _BALANCE, headers=_ORGANIZATION),
    _get(f"{_BASE}/generation", "What one request used and cost, as OpenRouter has it.", query={"id": _TEXT}),
    _get(f"{_BASE}/requests/{{id}}", "What one request used and cost."),
    Operation("delete", f"{_BASE}/cache", "Forgets one's cached answers.",
              _fields(owner=_TEXT, forgotten={"type": "boolean"})),
    _get(f"{_BASE}/models", "The models.", _LIST, anonymous=True, headers=_ORGANIZATION),
    _get(f"{_BASE}/models/{{model}}", "One model.", anonymous=True),
    _get(f"{_BASE}/models/{{model}}/endpoints", "Who serves a model.", anonymous=True),
    _get(f"{_BASE}/models-by-provider", "The models of each provider.", anonymous=True),
    _get(f"{_BASE}/providers", "The providers.", anonymous=True),
    _get(f"{_BASE}/organizations/{{organization}}/models", "The models that an organization may use.", _LIST),
    _get(f"{_BASE}/organizations/{{organization}}/models/{{model}}", "One of them."),
    _get(f"{_BASE}/organizations/{{organization}}/models/{{model}}/endpoints", "Who serves a model.", anonymous=True),
    _get(f"{_BASE}/organizations/{{organization}}/defaults", "Its default models."),
    _get(f"{ROOT}/defaults", "The default models.", anonymous=True),
    _get(f"{ROOT}/profile", "Who the key is of, for Kilo Code."),
    _get(f"{ROOT}/profile/balance", "What is left of the credit, for Kilo Code.",
         _fields(balance={"type": "number"}, isDepleted={"type": "boolean"})),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    known: dict[str, Schema] = {"Error": _error(), "MessagesError": _messages_error()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice gateway",
            "version": VERSION,
            "description": f"{', '.join(PREFIXES[1:])} are other names of {PREFIXES[0]}.",
        },
        "paths": paths,
        "components": {
            "schemas": known,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, known: dict[str, Schema]) -> dict[str, Any]:
    speaks_messages = operation.path.startswith(PREFIXES[0] + PATHS[Surface.MESSAGES])
    error = {"$ref": f"#/components/schemas/{'MessagesError' if speaks_messages else 'Error'}"}
    refused = {"description": "It is refused.", "content": {JSON: {"schema": error}}}
    found: dict[str, Any] = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "parameters": [*_parameters(operation)],
        "responses": {"200": _answered(operation, known), "4XX": refused, "5XX": refused},
        # Without a key the models that are free.
        "security": [{"key": []}, {}] if operation.anonymous else [{"key": []}],
    }
    if operation.body is not None:
        schema = _schema(operation.body, known)
        if operation.required:
            schema = {"allOf": [schema, {"required": list(operation.required)}]}
        found["requestBody"] = {"required": True, "content": {operation.body_type: {"schema": schema}}}
    return found


def _answered(operation: Operation, known: dict[str, Schema]) -> dict[str, Any]:
    schema = {} if operation.answer is None else _schema(operation.answer, known)
    content: dict[str, Any] = {"*/*": {}} if operation.answer is None else {JSON: {"schema": schema}}
    if operation.streamed:
        content[EVENTS] = {}
    if operation.path.endswith(PATHS[Surface.TRANSCRIPTIONS]):
        content["text/plain"] = {}
    return {"description": operation.summary, "content": content}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    named = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    given: tuple[tuple[str, Mapping[str, Schema]], ...] = (
        ("path", dict.fromkeys(named, _TEXT)),
        ("query", operation.query or {}),
        ("header", operation.headers or {}),
    )
    return [
        {"name": name, "in": where, "required": where == "path", "schema": schema}
        for where, schemas in given
        for name, schema in schemas.items()
    ]


def _schema(kind: Any, known: dict[str, Schema]) -> Schema:
    return kind if isinstance(kind, dict) else schema_of(kind, known)


def _name(operation: Operation) -> str:
    words = operation.path.removeprefix(PREFIXES[0]).removeprefix(ROOT).replace("{", "").replace("}", "").split("/")
    return "_".join([operation.method, *filter(None, words)]).replace("-", "_")


def _error() -> Schema:
    error = _fields(message=_TEXT, code={"type": "integer"})
    error["properties"]["metadata"] = _OBJECT
    return _fields(error=error)


def _messages_error() -> Schema:
    return _fields(type={"enum": ["error"]}, error=_fields(type=_TEXT, message=_TEXT, code={"type": "integer"}))


def text() -> str:
    """The document as JSON, keys sorted, so that it is the same again."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
