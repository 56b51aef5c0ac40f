"""``NAME_FILE`` stands for the content of a file."""

from pathlib import Path

import pytest

from libs.runtime.secret_files import MOST_BYTES, SecretFileError, read_secret_files

CANARY = "secret-file-canary"


def test_a_file_takes_its_variable_s_place(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{CANARY}\n")
    environment = {
        "SLUICE_CONSOLE_OPERATOR_TOKEN_FILE": str(file),
        "OPENAI_API_KEY_FILE": str(file),
        "SSL_CERT_FILE": "/etc/ssl/cert.pem",
    }
    read_secret_files(environment)
    assert environment == {
        "SLUICE_CONSOLE_OPERATOR_TOKEN": CANARY,
        "OPENAI_API_KEY": CANARY,
        "SSL_CERT_FILE": "/etc/ssl/cert.pem",
    }


@pytest.mark.parametrize("what", ["missing", "large", "binary", "both"])
def test_what_cannot_be_used_is_named_and_not_quoted(what: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    environment = {"SLUICE_X_FILE": str(file)}
    if what == "large":
        file.write_text(CANARY + " " * MOST_BYTES)
    elif what == "binary":
        file.write_bytes(CANARY.encode() + b"\xff")
    elif what == "both":
        file.write_text(CANARY)
        environment["SLUICE_X"] = CANARY
    with pytest.raises(SecretFileError, match="SLUICE_X_FILE") as caught:
        read_secret_files(environment)
    assert CANARY not in str(caught.value)
