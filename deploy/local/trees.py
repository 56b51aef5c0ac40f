"""A version of Sluice that processes are started from: a checkout with an environment of its own."""

import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.home import ROOT


@dataclass(frozen=True, slots=True)
class Tree:
    """Code and the Python that has its packages."""

    root: Path
    python: str

    def command(self, service: str) -> list[str]:
        """Of a service's process. ``-P``: the folder in which it happens to be started is no place for modules."""
        return [self.python, "-P", "-m", f"services.{service.replace('-', '_')}"]

    @property
    def environment(self) -> dict[str, str]:
        """What makes Python find this tree's modules, and no other's."""
        return {"PYTHONPATH": str(self.root)}


THIS_TREE = Tree(ROOT, sys.executable)
