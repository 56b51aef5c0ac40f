"""Secrets as files: ``NAME_FILE`` in the environment stands for the content of that file as ``NAME``.

As Docker and Kubernetes mount them. Who may inspect a container reads its variables; a file has
permissions of its own.
"""

from collections.abc import MutableMapping
from pathlib import Path

SUFFIX = "_FILE"
MOST_BYTES = 64 * 1024
_OWN = "SLUICE_"
_PROVIDERS = ("_API_KEY", "_TOKEN")
"""Ends of the names of variables that hold providers' keys."""


class SecretFileError(ValueError):
    """A file that cannot be used; the message names the variable, and quotes nothing of the file."""


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """Puts the contents in the place of the names, without white space around them.

    Raises:
        SecretFileError: a file cannot be read or is too large, or the variable itself is set as well.
    """
    for name in [name for name in environment if _is_ours(name)]:
        variable, file = name.removesuffix(SUFFIX), Path(environment[name])
        if environment.get(variable):
            raise SecretFileError(f"{variable} and {name} are both set")
        try:
            with file.open("rb") as stream:
                content = stream.read(MOST_BYTES + 1)
            text = content.decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretFileError(f"{name}: {file} cannot be read ({type(error).__name__})") from None
        if len(content) > MOST_BYTES:
            raise SecretFileError(f"{name}: {file} is larger than {MOST_BYTES} bytes")
        del environment[name]
        environment[variable] = text


def _is_ours(name: str) -> bool:
    variable = name.removesuffix(SUFFIX)
    return name.endswith(SUFFIX) and (variable.startswith(_OWN) or variable.endswith(_PROVIDERS))
