"""Which request a key stands for: against a plain model, whatever is delayed, killed or sent at once."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.idempotency import KEPT_MS, KeyClaimed
from contracts.requests import Surface
from libs.sealing.kept import ClientKey
from services.ingress.core.errors import BadRequest
from services.ingress.core.idempotency import MOST_OF_ALL, KeyClaims, client_key, fingerprint

KEY = ClientKey.derive("sk-1", "acct:a", "k")
BEGINS_MS = 15_000
OWNER = "acct:a"


def _request_id(number: int) -> str:
    return f"01890a5d-ac96-774b-bcce-{number:012x}"


def _claim(
    number: int, *, owner: str = OWNER, locator: str = KEY.locator, at_ms: int = 0, supersedes: str | None = None
) -> KeyClaimed:
    return KeyClaimed(
        locator=locator,
        owner=owner,
        fingerprint="0" * 32,
        request_id=_request_id(number),
        subject=owner,
        partition=0,
        offset=number,
        claimed_at_ms=at_ms,
        begins_by_ms=at_ms + BEGINS_MS,
        supersedes=supersedes,
    )


@dataclass
class Request:
    """What became of one that an ingress has claimed."""

    number: int
    claimed_at_ms: int
    published_at_ms: int | None = None
    free: bool = False
    """It ended, and has cost nothing."""


@dataclass
class World:
    """The log, and which requests were run."""

    now_ms: int = 1_000
    claims: list[KeyClaimed] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)

    def run(self) -> list[Request]:
        """Those that the router lets through."""
        return [
            one
            for one in self.requests.values()
            if one.published_at_ms is not None and one.published_at_ms < one.claimed_at_ms + BEGINS_MS and not one.free
        ]


class Ingress:
    """One that reads late, and may die or pause between its claim and its request."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.claims = KeyClaims(100)
        self.read = 0
        self.won: str | None = None

    def read_on(self, count: int) -> None:
        for claim in self.world.claims[self.read : self.read + count]:
            self.claims.apply(claim)
        self.read = min(len(self.world.claims), self.read + count)

    def ask(self) -> None:
        """A client comes: claims where the key stands for nothing, or for what was not run or cost nothing."""
        world = self.world
        held = self.claims.find(OWNER, KEY.locator, world.now_ms)
        supersedes = None
        if held is not None:
            found = world.requests[held.request_id]
            dead = found.published_at_ms is None and world.now_ms >= held.begins_by_ms
            late = found.published_at_ms is not None and found.published_at_ms >= held.begins_by_ms
            if not (dead or late or found.free):
                return
            supersedes = held.request_id
        number = len(world.requests)
        claim = _claim(number, at_ms=world.now_ms, supersedes=supersedes)
        world.requests[claim.request_id] = Request(number, world.now_ms)
        world.claims.append(claim)
        self.read_on(len(world.claims))
        held = self.claims.find(OWNER, KEY.locator, world.now_ms)
        self.won = claim.request_id if held and held.request_id == claim.request_id else None

    def publish(self) -> None:
        """What it has won goes onto the log, now or much later."""
        if self.won:
            self.world.requests[self.won].published_at_ms = self.world.now_ms
            self.won = None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "run", "publish", "read", "die", "wait", "free"]), st.integers(0, 1), st.integers(1, 9)
    ),
    max_size=60,
)


@settings(max_examples=600)
@given(STEPS)
def test_one_request_of_a_key_is_run_within_a_day(steps: list[tuple[str, int, int]]) -> None:
    world = World()
    ingresses = [Ingress(world) for _ in range(2)]
    for what, which, much in steps:
        one = ingresses[which]
        world.now_ms += 1
        if what in ("ask", "run"):
            one.ask()
            if what == "run":
                one.publish()
        elif what == "publish":
            one.publish()
        elif what == "read":
            one.read_on(much)
        elif what == "die":
            ingresses[which] = Ingress(world)
        elif what == "wait":
            world.now_ms += much * 4_000
        elif world.run():
            world.run()[-1].free = True
        assert len(world.run()) <= 1
    for one in ingresses:
        one.read_on(len(world.claims))
    standing = {found.request_id for one in ingresses if (found := one.claims.find(OWNER, KEY.locator, world.now_ms))}
    assert len(standing) <= 1
    if world.run():
        assert standing == {_request_id(world.run()[0].number)}
    else:
        # And whoever comes when all is settled is not kept out by what was never run.
        world.now_ms += BEGINS_MS
        ingresses[0].ask()
        assert ingresses[0].won


@given(st.integers(0, 2 * KEPT_MS))
def test_a_key_stands_for_a_request_for_a_day(later_ms: int) -> None:
    claims = KeyClaims(10)
    claims.apply(_claim(1))
    claims.apply(_claim(2, at_ms=later_ms))
    held = claims.find(OWNER, KEY.locator, later_ms)
    assert held is not None
    assert held.request_id == _request_id(1 if later_ms < KEPT_MS else 2)
    claims.expire(later_ms + KEPT_MS)
    assert len(claims) == 0


@given(st.lists(st.tuples(st.sampled_from(["acct:a", "acct:b", "org:c"]), st.integers(0, 40)), max_size=200))
def test_the_oldest_of_who_has_most_make_way(asked: list[tuple[str, int]]) -> None:
    most = 2
    claims, kept = KeyClaims(most), dict[str, list[int]]()
    for number, (owner, key) in enumerate(asked):
        claims.apply(_claim(number, owner=owner, locator=f"{key:032x}"))
        mine = kept.setdefault(owner, [])
        if key not in mine:
            kept[owner] = [*mine, key][-most:]
    for owner, keys in kept.items():
        found = [key for key in range(41) if claims.find(owner, f"{key:032x}", 0)]
        assert found == sorted(keys)
    assert len(claims) == sum(map(len, kept.values())) <= most * MOST_OF_ALL


def test_all_owners_together_have_a_bound() -> None:
    claims = KeyClaims(1)
    for number in range(50):
        claims.apply(_claim(number, owner=f"acct:{number}", locator=f"{number:032x}"))
    assert len(claims) == MOST_OF_ALL


@pytest.mark.parametrize("wrong", ["", "  ", "x" * 256, "ä", "a\x00b"])
def test_keys_that_are_none(wrong: str) -> None:
    with pytest.raises(BadRequest):
        client_key({"idempotency-key": wrong}, "sk-1", OWNER)


def test_who_has_no_key() -> None:
    assert client_key({}, "sk-1", OWNER) is None
    assert client_key({"idempotency-key": "k"}, None, None) is None
    assert client_key({"idempotency-key": " k "}, "sk-1", OWNER) == KEY


def test_a_form_is_the_same_with_another_boundary() -> None:
    def form(boundary: str, text: str) -> str:
        body = f'--{boundary}\r\ncontent-disposition: form-data; name="a"\r\n\r\n{text}\r\n--{boundary}--\r\n'
        kind = f"multipart/form-data; boundary={boundary}"
        return fingerprint(KEY, Surface.TRANSCRIPTIONS, kind, body.encode())

    assert form("abc", "x") == form("defghi", "x")
    assert form("abc", "x") != form("abc", "y")
    json = [fingerprint(KEY, one, "application/json", b"{}") for one in (Surface.RESPONSES, Surface.MESSAGES)]
    assert json[0] != json[1]
