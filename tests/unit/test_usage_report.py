"""Which table a report of usage reads follows from what it is asked for."""

from services.console.store.usage import ALL, By, Only, _source


def test_an_empty_filter_is_a_filter() -> None:
    """The sums by dimension have no fingerprints. Found by `./sluice bench fuzz`: ``GET /api/usage?key=``."""
    assert _source(By.MODEL, ALL, None, None).sums == "usage_sums"
    for only, account_id in ((Only(key=""), None), (ALL, "")):
        source = _source(By.MODEL, only, None, account_id)
        assert source.sums == "usage_daily"
        assert source.values == [""]
