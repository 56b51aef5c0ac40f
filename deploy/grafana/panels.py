"""What the dashboards show. `./sluice contracts` writes deploy/grafana/dashboards from it.

``job`` is the service, as deploy/prometheus/prometheus.yml names it. A query that counts what may never have happened
ends with ``or vector(0)``, so that a panel without data means that something is wrong.
"""

from dataclasses import dataclass

RATE = "$__rate_interval"
PROMETHEUS, POSTGRES = "prometheus", "postgres"


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: a title, Grafana's unit, and queries with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    source: str = PROMETHEUS
    kind: str = "timeseries"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    owner: bool = False
    """It is of one owner, who is chosen at its top."""


def _rate(metric: str, by: str = "", only: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{only}}}[{RATE}]))"


def _quantile(part: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({part}, sum by (le{f', {by}' if by else ''}) (rate({metric}_bucket[{RATE}])))"


_HTTP, _CALL = "http_server_request_duration_seconds", "gen_ai_client_operation_duration_seconds"
_FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"
_FAILED = 'http_response_status_code=~"5.."'

OVERVIEW = Dashboard(
    "sluice-overview",
    "Sluice: overview",
    (
        Panel("Requests by surface", "reqps", ((_rate(f"{_HTTP}_count", "http_route"), "{{http_route}}"),)),
        Panel(
            "Failed (5xx), part of all",
            "percentunit",
            ((f"({_rate(f'{_HTTP}_count', only=_FAILED)} or vector(0)) / {_rate(f'{_HTTP}_count')}", "failed"),),
        ),
        Panel(
            "Time of whole answers",
            "s",
            tuple((_quantile(part, _HTTP), f"p{part * 100:.0f}") for part in (0.5, 0.95, 0.99)),
        ),
        Panel(
            "p95 by model",
            "s",
            ((_quantile(0.95, "sluice_request_duration_seconds", "gen_ai_request_model"), "{{gen_ai_request_model}}"),),
        ),
        Panel(
            "Answers by model and status",
            "reqps",
            (
                (
                    _rate("sluice_requests_total", "gen_ai_request_model, http_response_status_code"),
                    "{{gen_ai_request_model}} {{http_response_status_code}}",
                ),
            ),
        ),
        Panel(
            "The door",
            "short",
            (
                ("sum by (sluice_door_state) (sluice_door_places)", "{{sluice_door_state}}"),
                ("sum (sluice_requests_waiting)", "clients that wait"),
            ),
        ),
        Panel("Refused at the door", "reqps", ((f"{_rate('sluice_sheds_total')} or vector(0)", "refused"),)),
        Panel("Answers not sent yet", "bytes", (("sum by (instance) (sluice_reply_buffer_bytes)", "{{instance}}"),)),
        Panel(
            "Verdicts",
            "ops",
            (
                (
                    _rate("sluice_decisions_total", "sluice_decider, http_response_status_code"),
                    "{{sluice_decider}} {{http_response_status_code}}",
                ),
            ),
        ),
        Panel("Requests without a verdict", "short", (("sum (sluice_joins_pending)", "pending"),)),
        Panel("Ready", "short", (("min by (job) (sluice_ready)", "{{job}}"),)),
        Panel("CPU by service", "short", ((_rate("process_cpu_time_seconds", "job"), "{{job}}"),)),
        Panel("Memory by service", "bytes", (("sum by (job) (process_memory_usage_bytes)", "{{job}}"),)),
    ),
)

_GROUP, _TOPIC = "messaging_consumer_group_name", "messaging_destination_name"
KAFKA = Dashboard(
    "sluice-kafka",
    "Sluice: the log",
    (
        Panel("Lag by group", "short", ((f"sum by ({_GROUP}) (sluice_consumer_lag)", f"{{{{{_GROUP}}}}}"),)),
        Panel(
            "Lag by group and topic",
            "short",
            ((f"sum by ({_GROUP}, {_TOPIC}) (sluice_consumer_lag)", f"{{{{{_GROUP}}}}} {{{{{_TOPIC}}}}}"),),
        ),
        Panel("Processed", "ops", ((_rate("messaging_client_consumed_messages_total", _GROUP), f"{{{{{_GROUP}}}}}"),)),
        Panel("Published", "ops", ((_rate("messaging_client_sent_messages_total", _TOPIC), f"{{{{{_TOPIC}}}}}"),)),
        Panel(
            "p95 of one batch",
            "s",
            ((_quantile(0.95, "messaging_process_duration_seconds", _GROUP), f"{{{{{_GROUP}}}}}"),),
        ),
        Panel(
            "Dead letters in an hour",
            "short",
            ((f"sum by ({_TOPIC}) (increase(sluice_dead_letters_total[1h])) or vector(0)", f"{{{{{_TOPIC}}}}}"),),
        ),
        Panel(
            "Failures beside the records",
            "short",
            (
                (
                    "sum by (job, sluice_work) (increase(sluice_background_failures[5m])) > 0 or vector(0)",
                    "{{job}} {{sluice_work}}",
                ),
            ),
        ),
    ),
)

_COST = "sluice_cost_microdollars_total"
MONEY = Dashboard(
    "sluice-money",
    "Sluice: money",
    (
        Panel(
            "USD an hour by model",
            "currencyUSD",
            ((f"{_rate(_COST, 'gen_ai_request_model')} * 3600 / 1e6", "{{gen_ai_request_model}}"),),
        ),
        Panel(
            "USD an hour by provider",
            "currencyUSD",
            ((f"{_rate(_COST, 'gen_ai_provider_name')} * 3600 / 1e6", "{{gen_ai_provider_name}}"),),
        ),
        Panel("Charged in a day", "currencyUSD", ((f"sum (increase({_COST}[1d])) / 1e6", "USD"),), kind="stat"),
        Panel(
            "USD a request",
            "currencyUSD",
            ((f"{_rate(_COST)} / 1e6 / {_rate('sluice_requests_ended_total')}", "mean"),),
        ),
        Panel("Held credit", "currencyUSD", (("sum (sluice_holds_microdollars) / 1e6", "held"),)),
        Panel(
            "Requests that hold something, and that wait for room",
            "short",
            (("sum (sluice_holds)", "hold"), ("sum (sluice_line_waiting)", "wait")),
        ),
        Panel(
            "Entries by outcome",
            "ops",
            ((_rate("sluice_requests_ended_total", "sluice_outcome"), "{{sluice_outcome}}"),),
        ),
        Panel(
            "Tokens by kind",
            "short",
            ((_rate("gen_ai_client_token_usage_sum", "gen_ai_token_type"), "{{gen_ai_token_type}}"),),
        ),
        Panel(
            "Usage that is not in the ledger yet",
            "short",
            ((f'sum (sluice_consumer_lag{{{_GROUP}="metering"}})', "records"),),
        ),
    ),
)

_PROVIDER, _REFUSED = "gen_ai_provider_name", 'error_type!=""'
PROVIDERS = Dashboard(
    "sluice-providers",
    "Sluice: providers",
    (
        Panel("Calls", "reqps", ((_rate(f"{_CALL}_count", _PROVIDER), f"{{{{{_PROVIDER}}}}}"),)),
        Panel(
            "Calls that failed, by status",
            "reqps",
            (
                (
                    f"{_rate(f'{_CALL}_count', f'{_PROVIDER}, error_type', _REFUSED)} or vector(0)",
                    f"{{{{{_PROVIDER}}}}} {{{{error_type}}}}",
                ),
            ),
        ),
        Panel(
            "Time of a call",
            "s",
            tuple(
                (_quantile(part, _CALL, _PROVIDER), f"{{{{{_PROVIDER}}}}} p{part * 100:.0f}") for part in (0.5, 0.95)
            ),
        ),
        Panel(
            "p95 to the first chunk",
            "s",
            (
                (
                    _quantile(0.95, _FIRST, f"{_PROVIDER}, gen_ai_request_model"),
                    f"{{{{{_PROVIDER}}}}} {{{{gen_ai_request_model}}}}",
                ),
            ),
        ),
        Panel(
            "Standing (0 well, 1 limited, 2 breaker open, 3 down)",
            "short",
            ((f"max by ({_PROVIDER}) (sluice_provider_standing)", f"{{{{{_PROVIDER}}}}}"),),
        ),
        Panel(
            "Output tokens",
            "short",
            (
                (
                    _rate(
                        "gen_ai_client_token_usage_sum",
                        f"{_PROVIDER}, gen_ai_request_model",
                        'gen_ai_token_type="output"',
                    ),
                    f"{{{{{_PROVIDER}}}}} {{{{gen_ai_request_model}}}}",
                ),
            ),
        ),
    ),
)

_TIMES = "request_id >= ledger_v1.first_id($__timeFrom()) and request_id < ledger_v1.first_id($__timeTo())"


def _ledger(what: str, *, by_hour: bool = True, more: str = "") -> str:
    hour = "date_trunc('hour', accepted_at) as time, " if by_hour else ""
    group = " group by 1 order by 1" if by_hour else ""
    return f"select {hour}{what} from ledger_v1.usage where owner = '$owner' and {_TIMES}{more}{group}"  # noqa: S608


TENANT = Dashboard(
    "sluice-tenant",
    "Sluice: one tenant",
    (
        Panel("USD by hour", "currencyUSD", ((_ledger("sum(cost_microdollars) / 1e6 as usd"), ""),), POSTGRES),
        Panel("Requests by hour", "short", ((_ledger("count(*) as requests"), ""),), POSTGRES),
        Panel(
            "Tokens by hour",
            "short",
            ((_ledger("sum(input_tokens) as input, sum(output_tokens) as output"), ""),),
            POSTGRES,
        ),
        Panel(
            "Not completed, by hour",
            "short",
            ((_ledger("count(*) filter (where outcome <> 'completed') as failed"), ""),),
            POSTGRES,
        ),
        Panel(
            "First byte, p95 by hour",
            "ms",
            ((_ledger("percentile_cont(0.95) within group (order by first_byte_ms) as p95"), ""),),
            POSTGRES,
        ),
        Panel(
            "Spent in this time",
            "currencyUSD",
            ((_ledger("coalesce(sum(cost_microdollars), 0) / 1e6 as usd", by_hour=False), ""),),
            POSTGRES,
            "stat",
        ),
        Panel(
            "Credit that is left",
            "currencyUSD",
            (("select balance_microdollars / 1e6 as usd from ledger_v1.balances where owner = '$owner'", ""),),
            POSTGRES,
            "stat",
        ),
    ),
    owner=True,
)
"""From the ledger: metrics know no owners. Grafana reads with a role of its own; see docs/operations.md."""

DASHBOARDS = (OVERVIEW, KAFKA, MONEY, PROVIDERS, TENANT)
