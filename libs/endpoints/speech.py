"""``POST /audio/speech``: a recording, piece by piece, or (``stream_format: sse``) events.

Source: the OpenAI API reference, "Create speech". Only events have counts of tokens, so models are priced by character.
"""

from contracts.quantities import Quantity, Unit
from libs.endpoints.endpoint import Answer, Counts, Endpoint, Needs, tokens_of
from libs.endpoints.form import Form, RequestError
from libs.pricing.bounds import Size

_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def _needs(form: Form) -> Needs:
    text = form.text("input")
    if form.get("stream_format") not in (None, "audio", "sse"):
        raise RequestError('`stream_format` must be "audio" or "sse".')
    if form.get("response_format") not in (None, *_TYPES):
        raise RequestError(f"`response_format` must be one of {', '.join(_TYPES)}.")
    spoken = len((text + str(form.get("instructions") or "")).encode("utf-8", "surrogatepass"))
    return Needs(Size(spoken, 0), 1, True, _characters(form))


def _characters(form: Form) -> tuple[Quantity, ...]:
    return (Quantity(unit=Unit.CHARACTER, amount=len(str(form.get("input")))),)


def _counts(form: Form, answer: Answer) -> Counts:
    return Counts(tokens_of(answer), _characters(form))


ENDPOINT = Endpoint(
    "/audio/speech",
    _needs,
    _counts,
    certain=_characters,
    recording=lambda form: form.get("stream_format") != "sse",
    content_type=lambda form: _TYPES[form.get("response_format") or "mp3"],
    last=("speech.audio.done",),
)
