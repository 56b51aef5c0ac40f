"""References to items of earlier answers, resolved without a store: the client carries the items. Pure.

A client that takes answers for stored sends an ``item_reference`` in place of an item whose ID it was given, and cannot
read an item without an ID (``@ai-sdk/openai``: ``openai-responses-api.ts``, ``convert-to-openai-responses-input.ts``).
Nothing is stored here. So an answer ends with a reasoning item that has no text and whose ID holds the answer's items:
the client refers to it as to the others, and so brings them back.
"""

import base64
from collections.abc import Sequence
from typing import cast

from libs.chat.exact_json import decode, encode
from libs.chat.shapes.completion import Fields
from libs.chat.shapes.responses import Item, Response, ResponsesEvent, ResponsesRequest
from libs.chat.surfaces.thoughts import MARK
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects, named_event

REFERENCE = "item_reference"
ENCRYPTED_REASONING = "reasoning.encrypted_content"
MOST_CARRIED_BYTES = 1024 * 1024
"""Of an answer's items. Only images that a provider drew are larger; their clients must send them in full."""
_PREFIX = f"rs_{MARK}"
_PROVIDER_STATE = ("previous_response_id", "conversation")
_ENDS = ("response.completed", "response.incomplete")


def are_kept_by_provider(body: Fields) -> bool:
    """The client wants its answers stored by the provider, or continues one that is."""
    return body.get("store") is True or any(body.get(name) for name in _PROVIDER_STATE)


def are_expected(body: Fields) -> bool:
    """The client may refer to the answer's items; ``store: false`` says that it will not."""
    return body.get("store") is not False


def for_provider(body: ResponsesRequest, *, reasons: bool) -> ResponsesRequest:
    """A request for a provider of Responses, which is to store nothing and look nothing up unless the client says so.

    Args:
        reasons: the model's reasoning can come back encrypted; models without any refuse it, and to be asked for it.

    Raises:
        SurfaceError: an item that is referred to is not among those that the client carries.
    """
    found, kept = body.copy(), are_kept_by_provider(body)
    if items := _items_of(body):
        found["input"] = resolved(items, kept_by_provider=kept)
    if not reasons:
        found = _without_encrypted(found)
    if kept or not are_expected(body):
        return found
    given = found.get("input")
    if isinstance(given, list):
        found["input"] = [item for item in given if not _is_kept_reasoning(item)]
    include = body.get("include") or []
    if reasons and isinstance(include, list) and ENCRYPTED_REASONING not in include:
        found["include"] = [*include, ENCRYPTED_REASONING]
    return {**found, "store": False}


def _without_encrypted(body: ResponsesRequest) -> ResponsesRequest:
    """A request that neither holds encrypted reasoning nor asks for it."""
    found, include = body.copy(), body.get("include")
    if items := _items_of(body):
        found["input"] = [item for item in items if not item.get("encrypted_content")]
    if isinstance(include, list):
        found["include"] = [name for name in include if name != ENCRYPTED_REASONING]
    return found


def _items_of(body: ResponsesRequest) -> list[Item]:
    """A request's items; none where it has a text, or what makes no sense."""
    given = body.get("input")
    return given if isinstance(given, list) and is_list_of_objects(given) else []


def _is_kept_reasoning(item: Item) -> bool:
    """Reasoning without its encrypted content stands for what a provider has stored."""
    return isinstance(item, dict) and item.get("type") == "reasoning" and not item.get("encrypted_content")


def resolved(given: Sequence[Item], *, kept_by_provider: bool = False) -> list[Item]:
    """The items of a request's input, with those that are referred to in full.

    Args:
        kept_by_provider: references to other items are for the provider.

    Raises:
        SurfaceError: an item that is referred to is not among those that the client carries.
    """
    carriers = {position: _carried(str(item["id"])) for position, item in enumerate(given) if _is_carrier(item)}
    carried = {name: item for items in carriers.values() for name, item in items.items()}
    found: list[Item] = []
    # From the end: an answer's carrier follows its items, and not every provider's IDs differ between answers.
    for position, item in reversed(list(enumerate(given))):
        if position in carriers:
            carried |= carriers[position]
            continue
        name = str(item.get("id"))
        if not _is_reference(item):
            found.append(item)
        elif name in carried or kept_by_provider:
            found.append(carried.get(name, item))
        else:
            raise SurfaceError(
                f"`input[{position}]` refers to the item {name[:80]!r}, and answers are not stored here: send the item "
                "itself. With the AI SDK: `providerOptions: { openai: { store: false } }`."
            )
    return found[::-1]


def with_carrier(response: Response) -> Response:
    """A response that ends with the carrier of its items, if it has any."""
    carrier = _carrier(response.get("output"))
    return _ended(response, carrier) if carrier else response


def with_carrier_events(events: str) -> str:
    """The last events of a stream, with those of the carrier before the end of the response."""
    return "".join(_with_carrier(event) for event in events.split("\n\n") if event)


def _with_carrier(event: str) -> str:
    _, _, data = event.partition("data: ")
    content: ResponsesEvent = decode(data) if data else {}
    response = content.get("response") if content.get("type") in _ENDS else None
    carrier = _carrier(response.get("output")) if isinstance(response, dict) else None
    if carrier is None or response is None:
        return f"{event}\n\n"
    place: ResponsesEvent = {"output_index": len(response["output"]), "item": carrier}
    events: list[ResponsesEvent] = [
        {"type": "response.output_item.added", **place},
        {"type": "response.output_item.done", **place},
        {**content, "response": _ended(response, carrier)},
    ]
    if isinstance(first := content.get("sequence_number"), int):
        events = [{**one, "sequence_number": first + later} for later, one in enumerate(events)]
    return "".join(named_event(one) for one in events)


def _ended(response: Response, carrier: Item) -> Response:
    return {**response, "output": [*response["output"], carrier]}


def _carrier(output: list[Item] | None) -> Item | None:
    items = [item for item in output if item.get("id")] if output and is_list_of_objects(output) else []
    content = encode(items).encode()
    if not items or len(content) > MOST_CARRIED_BYTES:
        return None
    return {"type": "reasoning", "id": _PREFIX + base64.urlsafe_b64encode(content).decode(), "summary": []}


def _carried(carrier_id: str) -> dict[str, Item]:
    """The items that a carrier holds, by their IDs; none where it was changed."""
    try:
        items = decode(base64.urlsafe_b64decode(carrier_id.removeprefix(_PREFIX)))
    except ValueError:
        return {}
    if not is_list_of_objects(items):
        return {}
    return {str(item["id"]): _in_full(item) for item in items if item.get("id") and not _is_reference(item)}


def _in_full(item: Item) -> Item:
    """The item as a client sends it: messages and calls need no ID, which a provider could look up."""
    if item.get("type") not in ("message", "function_call"):
        return item
    return cast("Item", {name: value for name, value in item.items() if name != "id"})


def _is_carrier(item: Item) -> bool:
    name = item.get("id")
    return isinstance(name, str) and name.startswith(_PREFIX)


def _is_reference(item: Item) -> bool:
    """The type may be left out."""
    return item.get("type") == REFERENCE or not (item.get("type") or "role" in item)
