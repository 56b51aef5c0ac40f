"""``POST /images/generations`` and ``/images/edits``. Source: the OpenAI API reference, "Images".

Some models count tokens, others images by quality and size. Where a client names both, that kind is held and charged;
else the dearest is held, and charged what the answer says, or the price of what is asked for by default.
"""

import re

from contracts.quantities import KIND, Quantity, Unit
from libs.endpoints.endpoint import Answer, Counts, Endpoint, Needs, tokens_of
from libs.endpoints.form import Form, RequestError
from libs.pricing.bounds import Size

MOST_IMAGES = 10
MOST_FILES = 16
_TRAITS = ("quality", "size")
_KIND = re.compile(KIND)


def _generation(form: Form) -> Needs:
    return _needs(form, 0)


def _edit(form: Form) -> Needs:
    images = len(form.files("image", "image[]"))
    if not 1 <= images <= MOST_FILES:
        raise RequestError(f"`image` must be a file, or up to {MOST_FILES} of them under the name `image[]`.")
    return _needs(form, images + len(form.files("mask")))


def _needs(form: Form, files: int) -> Needs:
    count = form.number("n", 1, least=1, most=MOST_IMAGES)
    text = len(form.text("prompt").encode("utf-8", "surrogatepass"))
    traits = _traits(form)
    quantity = Quantity(unit=Unit.IMAGE, amount=count, kind=_kind(traits) if len(traits) == len(_TRAITS) else "")
    return Needs(Size(text, files), count, form.flag("stream"), (quantity,))


def _counts(form: Form, answer: Answer) -> Counts:
    """An event of a stream has one image; a whole answer has a list."""
    drawn = answer.get("data")
    count = len(drawn) if isinstance(drawn, list) else 1
    traits = _traits(form)
    if len(traits) < len(_TRAITS):
        traits |= {name: answer[name] for name in _TRAITS if name not in traits and isinstance(answer.get(name), str)}
    return Counts(tokens_of(answer), (Quantity(unit=Unit.IMAGE, amount=count, kind=_kind(traits)),))


def _traits(form: Form) -> dict[str, str]:
    """What the client says of quality and size; ``auto`` says nothing."""
    given = {name: form.get(name) for name in _TRAITS}
    return {name: value for name, value in given.items() if isinstance(value, str) and value not in ("", "auto")}


def _kind(traits: dict[str, str]) -> str:
    kind = "/".join(traits[name].lower() for name in _TRAITS if name in traits)
    return kind if _KIND.match(kind) else ""


GENERATIONS = Endpoint("/images/generations", _generation, _counts, last=("image_generation.completed",))
EDITS = Endpoint("/images/edits", _edit, _counts, multipart=True, last=("image_edit.completed",))
