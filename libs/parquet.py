"""A table as an Apache Parquet file: one row group, plain encoding, pages of gzip where that is wanted. Pure.

What is written here has at most some ten thousand rows, for which a library of 40 MB would be much. The format is
https://github.com/apache/parquet-format: pages, then a footer in Thrift's compact protocol.
"""

import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum

_MAGIC = b"PAR1"
_PLAIN, _RLE = 0, 3
_REQUIRED = 0
_UTF8 = 0
_UNCOMPRESSED, _GZIP = 0, 2
_GZIP_WINDOW = 31
"""Of zlib: gzip's header and trailer around the data."""


class _Type(IntEnum):
    """Of values, in Parquet."""

    INT64 = 2
    BYTE_ARRAY = 6


class _Kind(IntEnum):
    """Of fields, in the compact protocol."""

    I32 = 5
    I64 = 6
    BINARY = 8
    LIST = 9
    STRUCT = 12


_Field = tuple[int, _Kind, bytes]


def parquet(
    texts: Mapping[str, Sequence[str]], numbers: Mapping[str, Sequence[int]], *, compressed: bool = False
) -> bytes:
    """A file of columns of the same length; text is UTF-8, whole numbers have 64 bits, and no value is missing.

    The same table is the same bytes.

    Raises:
        OverflowError: a number needs more.
    """
    columns: dict[str, tuple[_Type, bytes]] = {
        name: (_Type.BYTE_ARRAY, _texts(values)) for name, values in texts.items()
    }
    columns |= {name: (_Type.INT64, _numbers(values)) for name, values in numbers.items()}
    rows = len(next(iter((*texts.values(), *numbers.values())), ()))
    out = bytearray(_MAGIC)
    chunks = []
    for name, (kind, data) in columns.items():
        offset = len(out)
        stored = _gzip(data) if compressed else data
        header = _page_header(rows, len(data), len(stored))
        out += header + stored
        metadata = _struct(
            _i32(1, kind),
            _list(2, _Kind.I32, [_zigzag(_PLAIN), _zigzag(_RLE)]),
            _list(3, _Kind.BINARY, [_text(name)]),
            _i32(4, _GZIP if compressed else _UNCOMPRESSED),
            _i64(5, rows),
            _i64(6, len(header) + len(data)),
            _i64(7, len(header) + len(stored)),
            _i64(9, offset),
        )
        chunks.append(_struct(_i64(2, offset), (3, _Kind.STRUCT, metadata)))
    group = _struct(_list(1, _Kind.STRUCT, chunks), _i64(2, len(out) - len(_MAGIC)), _i64(3, rows))
    root = _struct((4, _Kind.BINARY, _text("schema")), _i32(5, len(columns)))
    schema = [root, *(_element(name, kind) for name, (kind, _data) in columns.items())]
    footer = _struct(
        _i32(1, 1),
        _list(2, _Kind.STRUCT, schema),
        _i64(3, rows),
        _list(4, _Kind.STRUCT, [group] if rows else []),
        (6, _Kind.BINARY, _text("Sluice")),
    )
    return bytes(out) + footer + len(footer).to_bytes(4, "little") + _MAGIC


def _texts(values: Sequence[str]) -> bytes:
    encoded = (value.encode(errors="replace") for value in values)
    return b"".join(len(data).to_bytes(4, "little") + data for data in encoded)


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(level=6, wbits=_GZIP_WINDOW)
    return compressor.compress(data) + compressor.flush()


def _page_header(rows: int, size: int, stored: int) -> bytes:
    data_page = _struct(_i32(1, rows), _i32(2, _PLAIN), _i32(3, _RLE), _i32(4, _RLE))
    return _struct(_i32(1, 0), _i32(2, size), _i32(3, stored), (5, _Kind.STRUCT, data_page))


def _element(name: str, kind: _Type) -> bytes:
    fields = [_i32(1, kind), _i32(3, _REQUIRED), (4, _Kind.BINARY, _text(name))]
    return _struct(*fields, *([_i32(6, _UTF8)] if kind is _Type.BYTE_ARRAY else []))


def _struct(*fields: _Field) -> bytes:
    """Of fields in the order of their numbers, each less than 16 after the one before."""
    out, before = bytearray(), 0
    for number, kind, data in fields:
        out += bytes([(number - before) << 4 | kind]) + data
        before = number
    return bytes(out) + b"\0"


def _list(number: int, kind: _Kind, items: Sequence[bytes]) -> _Field:
    size = len(items)
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + _varint(size)
    return number, _Kind.LIST, head + b"".join(items)


def _i32(number: int, value: int) -> _Field:
    return number, _Kind.I32, _zigzag(value)


def _i64(number: int, value: int) -> _Field:
    return number, _Kind.I64, _zigzag(value)


def _text(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
