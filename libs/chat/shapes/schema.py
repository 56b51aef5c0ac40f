"""JSON Schemas of the shapes, from their types and docstrings. Pure."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]
_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Any: {},
    object: {},
}


def schema_of(kind: Any, known: dict[str, Schema], root: str = "#/components/schemas/") -> Schema:
    """The schema of a type.

    Args:
        known: gets the schema of each shape in it, by module and name: two may have the same name.

    Raises:
        TypeError: shapes are made of objects, lists, unions and plain values.
    """
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if is_typeddict(kind):
        name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
        if name not in known:
            known[name] = {}
            known[name] |= _object(kind, known, root)
        return {"$ref": root + name}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(one, known, root) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0], known, root)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1], known, root) or True}
    if origin is Literal:
        return {"enum": list(arguments)}
    raise TypeError(f"no shape is made of {kind!r}")


def _object(kind: Any, known: dict[str, Schema], root: str) -> Schema:
    # Others may be there: clients and providers have fields of their own.
    found: Schema = {
        "type": "object",
        "description": (kind.__doc__ or "").strip().partition("\n")[0],
        "properties": {name: schema_of(one, known, root) for name, one in get_type_hints(kind).items()},
    }
    return found | ({"required": sorted(kind.__required_keys__)} if kind.__required_keys__ else {})
