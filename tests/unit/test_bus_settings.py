"""How services reach the log."""

from libs.bus.settings import BusSettings


def test_several_brokers_are_several() -> None:
    """FastStream takes a text with commas for one host."""
    assert BusSettings(bootstrap="a:1, b:2,c:3").connection()["bootstrap_servers"] == ["a:1", "b:2", "c:3"]
