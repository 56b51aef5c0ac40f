"""What a newer schema may do to an older one within a major version: add optional fields, and nothing else.

A default is part of the contract: what has it is left out of the record.
"""

from collections.abc import Iterator
from typing import Any

_WORDS = {"description", "title", "examples"}
_MISSING = "(nothing)"


def breaks(released: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """Every way in which ``current`` is not compatible with ``released``, in both directions."""
    return list(_compare(released, current, released.get("$defs", {}), current.get("$defs", {}), ""))


def _compare(old: Any, new: Any, old_defs: Any, new_defs: Any, where: str) -> Iterator[str]:
    old, new = _resolve(old, old_defs), _resolve(new, new_defs)
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{where}: {old!r} became {new!r}"
        return
    if "properties" in old:
        yield from _compare_objects(old, new, old_defs, new_defs, where)
        return
    for name in sorted((set(old) | set(new)) - _WORDS - {"$defs"}):
        before, after = old.get(name, _MISSING), new.get(name, _MISSING)
        if name in ("items", "additionalProperties"):
            yield from _compare(before, after, old_defs, new_defs, f"{where}/{name}")
        elif name == "anyOf" and isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _compare(one, other, old_defs, new_defs, f"{where}/{name}/{index}")
        elif before != after:
            yield f"{where}: {name} was {before!r}, is {after!r}"


def _compare_objects(old: Any, new: Any, old_defs: Any, new_defs: Any, where: str) -> Iterator[str]:
    for name, schema in old["properties"].items():
        if name not in new.get("properties", {}):
            yield f"{where}/{name}: removed"
        else:
            yield from _compare(schema, new["properties"][name], old_defs, new_defs, f"{where}/{name}")
    before, after = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(after - before):
        yield f"{where}/{name}: required now"
    for name in sorted(before - after):
        yield f"{where}/{name}: not required any more, but older readers need it"


def _resolve(schema: Any, defs: Any) -> Any:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[1]]
    return schema
