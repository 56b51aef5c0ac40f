"""What is shown once is read by its session alone."""

from services.console.core.shown_once import seal, unseal


def test_only_the_session_s_token_reads_it() -> None:
    sealed = seal("a" * 43, "sk-secret", b"n" * 12)
    assert unseal("a" * 43, sealed) == "sk-secret"
    assert b"secret" not in sealed
    assert unseal("b" * 43, sealed) is None
    assert unseal("a" * 43, sealed[:-1] + b"!") is None
    assert unseal("a" * 43, b"") is None
