"""``./sluice bench fairness``: one tenant sends ten times what the gateway can do, another a hundredth of that."""

from services.cli.output import as_table, out, report
from tests.bench.open_load import Sent
from tests.bench.overload import TIMES, best_rate, opened, options_of
from tests.bench.stacks import ENVIRONMENT, finish, measured_stack

MANY = ENVIRONMENT | {"SLUICE_LIMITS__CONNECTIONS_OF_ADDRESS": "4096"}
"""Both tenants come from this address, with up to 1,000 connections each."""


async def main() -> None:
    """Measures and prints."""
    options = options_of("fairness", __doc__)
    async with measured_stack(options.kafka, accounts=2, environment=MANY) as measured:
        greedy, (modest,) = measured.key, measured.more_keys
        best = await best_rate(measured, options.seconds / 6)
        little = TIMES * best / 100
        report(f"the modest tenant sends {little:.0f}/s, alone and beside 70 %")
        alone = (await opened(measured, {modest: little}, options.seconds / 4))[modest]
        usual = (await opened(measured, {modest: little, greedy: 0.7 * best}, options.seconds / 4))[modest]
        report(f"the greedy one sends {TIMES * best:.0f}/s beside it, {options.seconds:.0f} s")
        over = await opened(measured, {modest: little, greedy: TIMES * best}, options.seconds)
    found = over[modest]
    in_time = sum(
        1 for _, sample in found.samples if sample.status == 200 and sample.total_s * 1000 <= 2 * usual.ms(50)
    )
    rows = [
        ("answered", f"{found.answered / _all(found):.1%}", "≥ 95 %"),
        ("answered in twice its median beside 70 %", f"{in_time / _all(found):.1%}", "≥ 95 %"),
        ("median, of that beside 70 %", f"{found.ms(50) / usual.ms(50):.2f}", "≤ 2"),
        ("p95, of that beside 70 %", f"{found.ms(95) / usual.ms(95):.2f}", "≤ 2"),
        ("median, of that alone", f"{found.ms(50) / alone.ms(50):.2f}", ""),
    ]
    as_table([{"the modest tenant": what, "measured": value, "goal": goal} for what, value, goal in rows], "")
    out.print()
    each = [("modest, alone", alone), ("modest, beside 70 %", usual), ("modest", found), ("greedy", over[greedy])]
    as_table(
        [
            {
                "who": who,
                "sent_per_s": round(_all(sent) / sent.seconds),
                "answered": f"{sent.answered / _all(sent):.1%}",
                "p50_ms": round(sent.ms(50)),
                "p95_ms": round(sent.ms(95)),
                "p99_ms": round(sent.ms(99)),
            }
            for who, sent in each
        ],
        "",
    )


def _all(sent: Sent) -> int:
    return max(1, len(sent.samples) + sent.failed + sent.unsent)


if __name__ == "__main__":
    finish(main())
