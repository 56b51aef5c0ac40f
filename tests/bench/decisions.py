"""``./sluice bench decisions``: verdicts a second of policy and rate-limit on one core, as their subjects grow.

The cores alone: no Kafka, no parsing. Memory is what Python's allocator has for the subjects, divided by them.
"""

import gc
import time
import tracemalloc
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from contracts.control import PolicySet
from contracts.credit import BalanceChanged
from contracts.requests import Caller, RequestAccepted
from libs.config.catalog import Catalog
from libs.config.gateway import Billing, Limits
from libs.config.providers import Model, Provider
from services.cli.output import as_table, out
from services.policy.core.rules import decide as decide_policy
from services.rate_limit.core.balances import Balances
from services.rate_limit.core.book import Book
from services.rate_limit.core.bounds import Rules, Views
from services.rate_limit.core.verdicts import Judge, asked
from services.rate_limit.core.windows import Limit, Window
from tests.unit.records import NOW_MS, PRICE, Config, accepted, request_id

SIZES = (1_000, 100_000, 1_000_000)
CATALOG = Catalog(
    Config(
        providers={"stub": Provider(base_url="http://x")},
        models=[Model(id=f"stub/m{number}", provider="stub", upstream_model="e") for number in range(50)],
    )
)
RULES = Rules(Limits(account={"requests_per_minute": 10_000}, model={"tokens_per_minute": 10**9}), Billing())
FREE = Limit("free", 200, 3_600_000)


def main(count: int) -> None:
    """Measures and prints."""
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        row: dict[str, Any] = {"subjects": f"{size:,}"}
        for name, prepare in (("policy", _policy), ("credit", _credit), ("free window", _free)):
            gc.collect()
            tracemalloc.start()
            verdict = prepare(size)
            memory = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            row[f"{name} /s"] = round(_rate(verdict, count))
            row[f"{name} bytes a subject"] = round(memory / size)
            del verdict
        rows.append(row)
    as_table(rows, "")
    out.print(
        "\nA subject of `credit` is an owner who asks for nothing now; of `free window` one with a request in its hour."
    )


def _rate(verdict: Callable[[int], Any], count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        verdict(number)
    return count / (time.perf_counter() - started)


def _policy(size: int) -> Callable[[int], Any]:
    policies = {
        f"org_{number}": PolicySet(organization_id=f"org_{number}", version=1, model_allow=["anthropic/*", "stub/m1*"])
        for number in range(size)
    }
    caller = Caller(account_id="a", organization_id="o")
    request = accepted(caller=caller)
    requests = [
        request.model_copy(
            update={
                "model": f"stub/m{number % 50}",
                "caller": caller.model_copy(update={"organization_id": f"org_{number * 7919 % size}"}),
            }
        )
        for number in range(1_000)
    ]
    return lambda number: decide_policy(requests[number % 1_000], CATALOG, policies)


def _credit(size: int) -> Callable[[int], Any]:
    balances = Balances()
    for number in range(size):
        balances.apply(BalanceChanged(owner=f"acct:{number}", balance_microdollars=10**12, version=1))
    books: dict[str, Book] = {}
    judge, used = Judge(lambda: RULES, Views({}, {})), {"requests": 1, "tokens": 500, "usd": 0}
    request = accepted(input_tokens_most=400, output_tokens_most=500)

    def verdict(number: int) -> Any:
        account_id = str(number * 7919 % min(size, 10_000))
        accepted_ = _of(request, number, account_id)
        owner, at_ms = accepted_.caller.owner, accepted_.accepted_at_ms
        book = books.get(owner)
        if book is None:
            book = books[owner] = Book(owner)
            balances.give(owner, book)
        one = asked(accepted_, [PRICE], byok=False)
        assert one is not None
        decided = judge.decide(book, one, at_ms, last=True)
        book.ended(accepted_.request_id, (), used, at_ms=at_ms, now_ms=at_ms, offset=number)
        return decided

    return verdict


def _of(request: RequestAccepted, number: int, account_id: str) -> RequestAccepted:
    return RequestAccepted.model_construct(
        None,
        **{
            **request.__dict__,
            "request_id": request_id(number),
            "accepted_at_ms": NOW_MS + number,
            "caller": Caller.model_construct(None, account_id=account_id, organization_id=None),
        },
    )


def _free(size: int) -> Callable[[int], Any]:
    windows: dict[str, Window] = {}
    for number in range(size):
        window = windows[f"ip:10.{number}"] = Window(FREE)
        window.admit(at_ms=NOW_MS, offset=number)

    def verdict(number: int) -> Any:
        return windows[f"ip:10.{number * 7919 % size}"].admit(at_ms=NOW_MS + number, offset=size + number)

    return verdict


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench decisions", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="verdicts at each size")
    main(parser.parse_args().count)
