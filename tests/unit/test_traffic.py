"""The table of what a request leaves on the log."""

from pathlib import Path

from tests.bench.traffic import a_request, rows, sizes


def test_a_request_s_share_of_what_came() -> None:
    before, after = {"a": (100, 9_000), "b": (0, 0)}, {"a": (120, 14_000), "b": (10, 123)}
    assert a_request(before, after, 10) == {"a": (2.0, 500.0), "b": (1.0, 12.3)}


def test_topics_that_nobody_uses_are_in_the_sum_alone() -> None:
    found = {"whole": {"a": (2.04, 500.4), "b": (0.01, 30.0)}, "stream": {"a": (40.0, 9_000.0), "b": (0.0, 0.0)}}
    assert rows(found) == [
        {"topic": "a", "whole: records": 2.0, "whole: bytes": 500, "stream: records": 40.0, "stream: bytes": 9000},
        {"topic": "all", "whole: records": 2.0, "whole: bytes": 530, "stream: records": 40.0, "stream: bytes": 9000},
    ]


def test_segments_are_counted_by_topic_and_other_files_are_not(tmp_path: Path) -> None:
    for folder, size in (("gateway.replies-0", 5), ("gateway.replies-11", 7), ("a-b-2", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00000000000000000000.log").write_bytes(b"x" * size)
        (tmp_path / folder / "00000000000000000000.index").write_bytes(b"x" * 100)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "broker.log").write_bytes(b"x" * 100)
    assert sizes(tmp_path) == {"gateway.replies": 12, "a-b": 1}
