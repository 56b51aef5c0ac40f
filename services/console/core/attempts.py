"""How often an address may fail to sign in. Pure."""

from collections import OrderedDict

MOST_FAILURES = 10
WINDOW_S = 60.0
MOST_ADDRESSES = 10_000


class SignInAttempts:
    """Counts failures by address, in windows that begin with an address's first one."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def allowed(self, address: str, now_s: float) -> bool:
        """False where the address failed too often, and has to wait."""
        begun, failures = self._known.get(address, (now_s, 0))
        return failures < MOST_FAILURES or now_s - begun >= WINDOW_S

    def failed(self, address: str, now_s: float) -> None:
        """Counts a failure."""
        begun, failures = self._known.pop(address, (now_s, 0))
        if now_s - begun >= WINDOW_S:
            begun, failures = now_s, 0
        self._known[address] = (begun, failures + 1)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)
