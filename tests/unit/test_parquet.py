"""A small Parquet file, byte for byte. pyarrow 26 has read it, and others: large, empty, with negative numbers."""

import pytest

from libs.parquet import parquet

FILE = bytes.fromhex(
    "504152311500150e150e2c1502150015061506000003000000612f6215001510151"
    "02c1502150015061506000007000000000000001502193c4806736368656d61150400150c"
    "250018056d6f64656c2500001504250018087265717565737473001602191c192c26081c"
    "150c192500061918056d6f64656c15001602163016302608000026381c1504192500061918"
    "08726571756573747315001602163216322638000016621602002806536c75696365007d00"
    "000050415231"
)


def test_a_file_is_as_pyarrow_has_read_it() -> None:
    assert parquet({"model": ["a/b"]}, {"requests": [7]}) == FILE


def test_the_footer_says_how_long_it_is() -> None:
    for rows in (0, 1, 20, 10_000):
        file = parquet({"model": ["ü"] * rows}, {"requests": [-1] * rows})
        assert file.startswith(b"PAR1")
        assert file.endswith(b"PAR1")
        assert int.from_bytes(file[-8:-4], "little") < len(file) - 11


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError):
        parquet({}, {"requests": [2**63]})
