"""Whether a value is of a JSON schema. Pure.

Source: JSON Schema 2020-12, "Validation". Schemas are a client's: nothing of them is run or fetched, and the work is
bounded. What is passed over makes a schema allow more, never less: regular expressions (``pattern``,
``patternProperties``), ``format``, ``not``, ``if``, ``contains``, ``unevaluated*``, ``uniqueItems``, references to
other documents; of ``oneOf`` it is enough that one fits.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST_STEPS = 20_000
"""Values compared with schemas: some 50 ms of one core."""
MOST_DEPTH = 100
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and value == value // 1,
}
_BOUNDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Any], bool]]] = {
    "minimum": (lambda value: _is_number(value), lambda value, bound: value >= bound),
    "maximum": (lambda value: _is_number(value), lambda value, bound: value <= bound),
    "exclusiveMinimum": (lambda value: _is_number(value), lambda value, bound: value > bound),
    "exclusiveMaximum": (lambda value: _is_number(value), lambda value, bound: value < bound),
    "minLength": (_TYPES["string"], lambda value, bound: len(value) >= bound),
    "maxLength": (_TYPES["string"], lambda value, bound: len(value) <= bound),
    "minItems": (_TYPES["array"], lambda value, bound: len(value) >= bound),
    "maxItems": (_TYPES["array"], lambda value, bound: len(value) <= bound),
    "minProperties": (_TYPES["object"], lambda value, bound: len(value) >= bound),
    "maxProperties": (_TYPES["object"], lambda value, bound: len(value) <= bound),
}
"""What each keyword is about, and what it asks."""


class TooMuch(Exception):
    """It would take too long to say."""


def fits(value: object, schema: object) -> bool:
    """The value is of the schema. Raises TooMuch."""
    return _Check(schema).fits(value, schema, 0)


class _Check:
    def __init__(self, root: object) -> None:
        self._root = root
        self._steps = 0

    def fits(self, value: object, schema: object, depth: int) -> bool:
        self._count(1, depth)
        if not isinstance(schema, dict):
            # What is no schema asks nothing.
            return schema is not False
        return all(holds for holds in self._rules(value, schema, depth + 1))

    def _count(self, steps: int, depth: int = 0) -> None:
        self._steps += steps
        if self._steps > MOST_STEPS or depth > MOST_DEPTH:
            raise TooMuch

    def _rules(self, value: object, schema: Mapping[str, Any], depth: int) -> Iterator[bool]:
        """Whether each of the schema's own rules holds."""
        kinds = schema.get("type")
        if kinds is not None:
            yield any(_TYPES[kind](value) for kind in _listed(kinds) if kind in _TYPES)
        for allowed in _allowed(schema):
            self._count(len(allowed))
            yield any(_same(value, one) for one in allowed)
        for name, (is_about, holds) in _BOUNDS.items():
            if name in schema and _is_number(schema[name]) and is_about(value):
                yield holds(value, schema[name])
        if isinstance(reference := schema.get("$ref"), str):
            yield self.fits(value, self._found(reference), depth)
        yield from (self.fits(value, one, depth) for one in _listed(schema.get("allOf")))
        for name in ("anyOf", "oneOf"):
            if isinstance(schema.get(name), list):
                yield any(self.fits(value, one, depth) for one in schema[name])
        if isinstance(value, dict):
            yield from self._of_object(value, schema, depth)
        elif isinstance(value, list):
            yield from self._of_list(value, schema, depth)

    def _of_object(self, value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> Iterator[bool]:
        required, known = _listed(schema.get("required")), schema.get("properties")
        self._count(len(required))
        yield all(name in value for name in required)
        properties = known if isinstance(known, dict) else {}
        yield from (self.fits(one, properties[name], depth) for name, one in value.items() if name in properties)
        if "patternProperties" not in schema:
            others = schema.get("additionalProperties", True)
            yield from (self.fits(one, others, depth) for name, one in value.items() if name not in properties)

    def _of_list(self, value: list[Any], schema: Mapping[str, Any], depth: int) -> Iterator[bool]:
        first = _listed(schema.get("prefixItems"))
        yield from (self.fits(one, each, depth) for one, each in zip(value, first, strict=False))
        yield from (self.fits(one, schema.get("items", True), depth) for one in value[len(first) :])

    def _found(self, reference: str) -> object:
        """The schema that is referred to; where it is not in the document, one that asks nothing."""
        found: object = self._root
        if reference != "#" and not reference.startswith("#/"):
            return True
        for part in reference.split("/")[1:]:
            self._count(1)
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return True
            found = found[name]
        return found


def _allowed(schema: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Lists of values, in each of which one must be."""
    if "enum" in schema:
        yield _listed(schema["enum"])
    if "const" in schema:
        yield [schema["const"]]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: object, other: object) -> bool:
    """Equal as JSON is: a truth value is no number."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(held, other[name]) for name, held in one.items())
    return isinstance(one, bool) is isinstance(other, bool) and one == other
