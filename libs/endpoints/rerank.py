"""``POST /rerank``: documents by their relevance to a query. Cohere and Jina have it in one shape.

Sources: the Cohere API reference, "Rerank (v2)", and its pricing: a search is a query with up to 100 documents, and a
document of more than 500 tokens with its query counts as several; the Jina API reference, "Reranker": it counts tokens.
"""

from typing import Any

from contracts.quantities import Quantity, Unit
from contracts.usage import TokenUsage
from libs.endpoints.endpoint import Answer, Counts, Endpoint, Needs, tokens_of
from libs.endpoints.form import Form, RequestError
from libs.pricing.bounds import Size

MOST_DOCUMENTS = 10_000
A_SEARCH = 100
"""Documents."""
LEAST_CHUNK_BYTES = 250
"""What of a document is left beside its query, which is cut at half of the 500 tokens; a token has a byte at least."""


def _needs(form: Form) -> Needs:
    query = len(form.text("query").encode("utf-8", "surrogatepass"))
    documents = form.get("documents")
    if not isinstance(documents, list) or not 1 <= len(documents) <= MOST_DOCUMENTS:
        raise RequestError(f"`documents` must be a list of 1 to {MOST_DOCUMENTS} texts.")
    sizes = [_bytes_of(document) for document in documents]
    chunks = sum(max(1, -(-size // LEAST_CHUNK_BYTES)) for size in sizes)
    # Who counts tokens counts the query with each document.
    read = sum(sizes) + len(documents) * query
    return Needs(Size(read, 0), quantities=(Quantity(unit=Unit.SEARCH, amount=-(-chunks // A_SEARCH)),))


def _bytes_of(document: Any) -> int:
    """Of a text, or of an object with texts."""
    texts = document.values() if isinstance(document, dict) else (document,)
    found = [text for text in texts if isinstance(text, str)]
    if not found:
        raise RequestError("`documents` must be a list of texts, or of objects with texts.")
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in found)


def _counts(form: Form, answer: Answer) -> Counts:
    meta = answer.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    billed = meta.get("billed_units")
    searches = billed.get("search_units") if isinstance(billed, dict) else None
    if not isinstance(searches, int | float) or isinstance(searches, bool) or not 0 <= searches < 1e6:
        searches = -(-len(form.get("documents")) // A_SEARCH)
    tokens = tokens_of(answer) or TokenUsage()
    return Counts(tokens, (Quantity(unit=Unit.SEARCH, amount=-int(-searches // 1)),))


ENDPOINT = Endpoint("/rerank", _needs, _counts)
