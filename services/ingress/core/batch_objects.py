"""Files and batches as their clients are shown them. Pure.

Source: OpenAI's reference ("File object", "Batch object").
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from contracts.batches import Ended
from libs.batches.index import Batch, StoredFile
from services.ingress.core.errors import BadRequest

MOST_METADATA = 16
MOST_METADATA_NAME = 64
MOST_METADATA_VALUE = 512
WINDOW = "24h"
DEFAULT_PAGE = 20
MOST_PAGE = 100

T = TypeVar("T")


def file_object(file_id: str, file: StoredFile, about: Mapping[str, Any]) -> dict[str, Any]:
    """A file.

    Args:
        about: its name and purpose.
    """
    return {
        "id": file_id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at_ms // 1000,
        "expires_at": file.expires_at_ms // 1000,
        "filename": about["filename"],
        "purpose": about["purpose"],
        "status": "processed",
        "status_details": None,
    }


def batch_object(batch_id: str, batch: Batch, about: Mapping[str, Any]) -> dict[str, Any]:
    """A batch.

    Args:
        about: its endpoint, files and metadata, as it was made.
    """
    ended, created = batch.ended, batch.created
    ended_at = {ended.status: ended.at_ms // 1000} if ended else {}
    problems = [problem.model_dump() for problem in ended.problems] if ended else []
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": about["endpoint"],
        "errors": {"object": "list", "data": problems} if problems else None,
        "input_file_id": about["input_file_id"],
        "completion_window": WINDOW,
        "status": batch.status,
        "output_file_id": about["output_file_id"] if ended and batch.output else None,
        "error_file_id": about["error_file_id"] if ended and batch.errors else None,
        "created_at": created.created_at_ms // 1000,
        "in_progress_at": _seconds(batch.began_at_ms),
        "expires_at": created.due_at_ms // 1000,
        "finalizing_at": _seconds(batch.done_at_ms),
        "completed_at": ended_at.get(Ended.COMPLETED),
        "failed_at": ended_at.get(Ended.FAILED),
        "expired_at": ended_at.get(Ended.EXPIRED),
        "cancelling_at": _seconds(batch.cancelled_at_ms),
        "cancelled_at": ended_at.get(Ended.CANCELLED),
        "request_counts": {"total": created.lines, "completed": batch.completed, "failed": batch.failed},
        "metadata": about["metadata"],
    }


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000


def metadata_of(given: Any) -> dict[str, str] | None:
    """A batch's. Raises BadRequest where it is none."""
    if given is None:
        return None
    if not isinstance(given, dict) or len(given) > MOST_METADATA:
        raise BadRequest(f"`metadata` has at most {MOST_METADATA} names with values.")
    for name, value in given.items():
        if not isinstance(value, str) or len(name) > MOST_METADATA_NAME or len(value) > MOST_METADATA_VALUE:
            raise BadRequest(
                f"`metadata` has names of at most {MOST_METADATA_NAME} characters, and texts of at most "
                f"{MOST_METADATA_VALUE}."
            )
    return given


def page_of(
    found: Sequence[T], asked: Mapping[str, str], name_of: Callable[[T], str], show: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """A page of a list, the newest first unless ``order=asc``.

    Args:
        found: the oldest first.
        name_of: the ID.

    Raises:
        BadRequest: a parameter is wrong.
    """
    limit, order, after = asked.get("limit", str(DEFAULT_PAGE)), asked.get("order", "desc"), asked.get("after")
    if not (limit.isascii() and limit.isdigit() and int(limit[:6]) > 0) or order not in ("asc", "desc"):
        raise BadRequest("`limit` is a whole number from 1 on, and `order` is asc or desc.")
    items = list(found) if order == "asc" else list(reversed(found))
    if after:
        names = [name_of(one) for one in items]
        if after not in names:
            raise BadRequest("`after` is the ID of none of these.")
        items = items[names.index(after) + 1 :]
    page = [show(one) for one in items[: min(int(limit[:6]), MOST_PAGE)]]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(items) > len(page)}
