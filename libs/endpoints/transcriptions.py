"""``POST /audio/transcriptions``: text of a recording, as JSON, text or subtitles.

Source: the OpenAI API reference, "Create transcription". Models are priced by second or by token. Of the forms of an
answer only ``verbose_json`` has the seconds everywhere, so models priced by them are asked for it, and what the client
wants is written here, streams as one event; others are asked for JSON where the client wants text.
"""

from contracts.prices import Price
from contracts.quantities import Quantity, Unit
from contracts.record import JSON
from libs.chat.exact_json import encode
from libs.chat.surfaces.writer import named_event
from libs.endpoints.endpoint import Answer, Counts, Endpoint, Needs, has_price, tokens_of
from libs.endpoints.form import Form, RequestError
from libs.endpoints.recordings import seconds_about, seconds_most
from libs.pricing.bounds import Size

_TEXTS = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
_JSONS = ("json", "verbose_json", "diarized_json")


def _needs(form: Form) -> Needs:
    file = _recording(form)
    wanted = form.get("response_format")
    if wanted not in (None, *_JSONS, *_TEXTS):
        raise RequestError(f"`response_format` must be one of {', '.join((*_JSONS, *_TEXTS))}.")
    if form.flag("stream") and wanted in _TEXTS:
        raise RequestError("Streams are events of JSON: leave `response_format` out.")
    words = len(str(form.get("prompt") or "").encode())
    size = Size(words, 0, file_bytes=len(file))
    return Needs(size, 1, form.flag("stream"), (Quantity(unit=Unit.SECOND, amount=seconds_most(file)),))


def _recording(form: Form) -> bytes:
    files = form.files("file")
    if len(files) != 1 or not files[0].content:
        raise RequestError("`file` must be one recording, in a form with files.")
    return files[0].content


def _prepared(form: Form, price: Price | None) -> Form:
    wanted = form.get("response_format")
    if wanted == "diarized_json" or (form.flag("stream") and not has_price(price, Unit.SECOND)):
        return form
    if has_price(price, Unit.SECOND) or wanted in ("srt", "vtt"):
        return form.without(lambda name: name == "stream").with_fields(response_format="verbose_json")
    return form.with_fields(response_format="json") if wanted == "text" else form


def _unstreamed(form: Form, price: Price | None) -> bool:
    return form.flag("stream") and form.get("response_format") != "diarized_json" and has_price(price, Unit.SECOND)


def _counts(form: Form, answer: Answer) -> Counts:
    usage = answer.get("usage")
    counted = (answer.get("duration"), usage.get("seconds") if isinstance(usage, dict) else None)
    found = [_begun(seconds) for seconds in counted]
    recording = _recording(form)
    usual = min(seconds_about(len(recording)), seconds_most(recording))
    seconds = next((one for one in found if one is not None), usual)
    return Counts(tokens_of(answer), (Quantity(unit=Unit.SECOND, amount=seconds),))


def _begun(seconds: object) -> int | None:
    """Whole seconds, from a number or (as some write it) its text."""
    try:
        number = float(seconds) if isinstance(seconds, int | float | str) else -1.0
    except ValueError:
        return None
    return -int(-number // 1) if 0 <= number < 1e7 else None


def _written(form: Form, answer: Answer) -> str:
    wanted = form.get("response_format")
    short = {name: value for name, value in answer.items() if name in ("text", "usage", "logprobs")}
    if form.flag("stream"):
        return named_event({"type": "transcript.text.done", **short})
    if wanted in (None, "json"):
        return encode(short)
    if wanted == "text":
        return f"{answer.get('text', '')}\n"
    if wanted in ("srt", "vtt"):
        return _subtitles(answer, wanted)
    return encode(answer)


def _subtitles(answer: Answer, wanted: str) -> str:
    segments = answer.get("segments")
    cues = [segment for segment in segments if isinstance(segment, dict)] if isinstance(segments, list) else []
    blocks = []
    for number, cue in enumerate(cues, 1):
        mark = "," if wanted == "srt" else "."
        begin, end = (_clock(cue.get(name), mark) for name in ("start", "end"))
        # An arrow or an empty line would end the cue.
        text = " ".join(str(cue.get("text", "")).replace("-->", "->").split())
        blocks.append((f"{number}\n" if wanted == "srt" else "") + f"{begin} --> {end}\n{text}\n\n")
    return ("WEBVTT\n\n" if wanted == "vtt" else "") + "".join(blocks)


def _clock(seconds: object, mark: str) -> str:
    """Hours, minutes, seconds, milliseconds."""
    known = isinstance(seconds, int | float) and 0 <= seconds < 1e7
    milliseconds = round(float(seconds) * 1_000) if known else 0  # type: ignore[arg-type]
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1_000:02}{mark}{rest % 1_000:03}"


def _content_type(form: Form) -> str:
    found = _TEXTS.get(form.get("response_format"))
    return f"{found}; charset=utf-8" if found else JSON


ENDPOINT = Endpoint(
    "/audio/transcriptions",
    _needs,
    _counts,
    multipart=True,
    prepared=_prepared,
    unstreamed=_unstreamed,
    written=_written,
    content_type=_content_type,
    last=("transcript.text.done",),
)
