"""``POST /moderations``. Source: the OpenAI API reference, "Moderations"."""

from libs.endpoints.endpoint import Answer, Counts, Endpoint, Needs, tokens_of
from libs.endpoints.form import Form, RequestError
from libs.pricing.bounds import size_of


def _needs(form: Form) -> Needs:
    if not isinstance(form.get("input"), str | list) or not form.get("input"):
        raise RequestError("`input` must be text, or a list of texts or of parts.")
    return Needs(size_of({"messages": [{"content": form.get("input")}]}, len(form.encode())))


def _counts(_form: Form, answer: Answer) -> Counts:
    return Counts(tokens_of(answer))


ENDPOINT = Endpoint("/moderations", _needs, _counts)
