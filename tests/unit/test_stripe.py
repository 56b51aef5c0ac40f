"""Stripe's webhook: only what its secret signed lately counts, and each event says what Stripe documents."""

import hmac
import time
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from services.console.core.owners import Owner, OwnerKind
from services.console.core.stripe import TOLERANCE_S, What, check_signature, event_of
from services.console.errors import BadInput
from tests import stripe_events

OWNER = "acct_0123456789abcdef0123"
SECRET, NOW = "whsec_test_only", 1_748_071_606


def _header(body: bytes, at: int = NOW, secret: str = SECRET) -> str:
    signature = hmac.new(secret.encode(), b"%d." % at + body, "sha256").hexdigest()
    return f"t={at},v1={signature},v0={'0' * 64}"


@given(st.binary(max_size=200), st.integers(-2 * TOLERANCE_S, 2 * TOLERANCE_S))
def test_a_signature_counts_for_five_minutes(body: bytes, off_s: int) -> None:
    header = _header(body, NOW + off_s)
    if abs(off_s) <= TOLERANCE_S:
        check_signature(body, header, [SECRET], NOW)
        check_signature(body, f"v1={'a' * 64}, {header}", ["whsec_next", SECRET], NOW)
    else:
        with pytest.raises(BadInput):
            check_signature(body, header, [SECRET], NOW)


@given(
    st.text(max_size=40)
    | st.sampled_from(["t=1", "v1=a", "t=1,v1=", "t=x,v1=a", "t=1,t=2,v1=a", "t=٣,v1=a", "t=1,v0=a"])
)
def test_no_other_header_counts(header: str) -> None:
    with pytest.raises(BadInput):
        check_signature(b"{}", header, [SECRET], NOW)


def test_another_body_secret_or_none_does_not_count() -> None:
    header = _header(b"{}")
    for body, secrets in ((b"{} ", [SECRET]), (b"{}", ["whsec_other"]), (b"{}", [])):
        with pytest.raises(BadInput):
            check_signature(body, header, secrets, NOW)


@pytest.mark.parametrize(
    ("name", "what", "microdollars"),
    [
        ("paid", What.PAID, 25_000_000),
        ("refunded", What.REFUNDED, 5_000_000),
        ("refunded_more", What.REFUNDED, 12_000_000),
        ("refund_failed", What.REFUND_FAILED, 5_000_000),
        ("withdrawn", What.WITHDRAWN, 25_000_000),
        ("reinstated", What.REINSTATED, 25_000_000),
    ],
)
def test_stripe_s_events_say_what_they_do_to_credit(name: str, what: What, microdollars: int) -> None:
    event = event_of(stripe_events.event(name, OWNER, "run"))
    assert event
    assert (event.what, event.amount_microdollars) == (what, microdollars)
    assert event.payment_id.startswith("pi_")
    named = name in ("paid", "refunded", "refunded_more")
    assert event.owner == (Owner(OwnerKind.ACCOUNTS, OWNER) if named else None)


@pytest.mark.parametrize("name", stripe_events.NAMES)
def test_stripe_s_own_library_reads_what_the_tests_send(name: str) -> None:
    """So the signature is that of the documented scheme, and the events are of Stripe's form."""
    body = stripe_events.event(name, OWNER, "run")
    header = _header(body, int(time.time()))
    event = stripe.Webhook.construct_event(body, header, SECRET)
    assert event["data"]["object"]["object"] in ("payment_intent", "charge", "refund", "dispute")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_other")


def _changed(**changes: Any) -> bytes:
    return stripe_events.event("paid", OWNER, "run", **changes)


def test_what_is_not_for_anybody_here_is_left_alone() -> None:
    assert event_of(stripe_events.event("charge_succeeded", OWNER, "run")) is None
    for metadata in ({}, None, {"sluice_owner": 7}, {"sluice_owner": "cus_1"}):
        assert event_of(_changed(metadata=metadata)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type": "payment_intent.succeeded", "id": "e", "data": 7}',
        _changed(metadata={"sluice_owner": "org_1"}, currency="eur"),
        _changed(metadata={"sluice_owner": "org_1"}, amount_received=-1),
        _changed(metadata={"sluice_owner": "org_1"}, amount_received=True),
        _changed(metadata={"sluice_owner": "org_1"}, amount_received="2500"),
        _changed(metadata={"sluice_owner": "org_1"}, id=["pi"]),
    ],
)
def test_what_is_no_payment_in_dollars_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        event_of(body)
