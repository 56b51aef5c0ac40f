"""Which provider is asked first: by price, by the client's wishes, and never one that all routers know to be down."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deploy.local.collector import Collector
from deploy.local.ports import LOOPBACK, free_port
from libs.runtime.server import HttpServer
from tests.e2e.plane import Person, Plane
from tests.stacks import Gateway, chat, running_stack, until

CONFIG = Path(__file__).with_name("routing.yaml")
FAIL = "[[stub error=500]]"
TRACE = "5ca1ab1e" * 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traces() -> AsyncIterator[tuple[Collector, str]]:
    """Where the stack sends its spans."""
    receiver, port = Collector(), free_port()
    server = HttpServer(receiver.application(), LOOPBACK, port)
    await server.start()
    yield receiver, f"http://{LOOPBACK}:{port}"
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def duo(
    kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory, traces: tuple[Collector, str]
) -> AsyncIterator[Gateway]:
    """Two routers that share the accounts between them; a breaker that opens stays open."""
    options: dict[str, Any] = {"instances": {"router": 2}, "partitions": 4, "otlp_endpoint": traces[1]}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
        environment.setenv("OTEL_BLRP_SCHEDULE_DELAY", "200")
        async with running_stack(tmp_path_factory.mktemp("duo"), kafka, config=CONFIG, **options) as started:
            yield started


def _who(response: httpx.Response) -> tuple[int, str | None, str | None]:
    headers = response.headers
    return response.status_code, headers.get("x-sluice-provider"), headers.get("x-sluice-tried")


async def test_the_cheapest_is_asked_first_unless_the_client_wishes_otherwise(duo: Gateway) -> None:
    async def asked(**provider: Any) -> tuple[int, str | None, str | None]:
        return _who(await duo.post(chat("hi", model="duo/echo", provider=provider)))

    assert await asked() == (200, "first", None)
    assert await asked(order=["stub"]) == (200, "stub", None)
    assert await asked(only=["stub"]) == (200, "stub", None)
    assert await asked(ignore=["first"]) == (200, "stub", None)
    assert await asked(data_collection="deny") == (200, "stub", None)
    assert await asked(sort="configured") == (200, "stub", None)
    assert (await asked(sort="latency"))[0] == 200
    assert (await asked(only=["nobody"]))[0] == 404


async def test_what_no_gateway_can_promise_is_refused_in_words(duo: Gateway) -> None:
    for provider, word in (
        ({"zdr": True}, "zdr"),
        ({"max_price": {"prompt": 1}}, "max_price"),
        ({"sort": "beauty"}, "price"),
        ({"data_collection": "maybe"}, "allow"),
        ({"only": "stub"}, "list"),
    ):
        response = await duo.post(chat("hi", model="duo/echo", provider=provider))
        assert response.status_code == 400
        assert word in response.json()["error"]["message"]
    response = await duo.post(chat("hi", model="duo/echo", provider={"zdr": False, "max_price": None, "only": []}))
    assert response.status_code == 200


async def test_metrics_and_logs_of_a_stream_come_by_otlp(duo: Gateway, traces: tuple[Collector, str]) -> None:
    """With the same trace ID, and without a word of the prompt."""
    receiver, trace_id = traces[0], "0b5e7fab" * 4
    prompt = "metrics-canary [[stub chunks=3]]"
    body = chat(prompt, model="duo/failing", stream=True)
    response = await duo.post(body, traceparent=f"00-{trace_id}-{'1' * 16}-01")
    assert response.status_code == 200

    def of(service: str, metric: str, **labels: str) -> list[Any]:
        points = receiver.points.get((service, metric), [])
        found = [(one, {pair.key: pair.value.string_value for pair in one.attributes}) for one in points]
        return [one for one, attributes in found if labels.items() <= attributes.items()]

    async def arrived() -> bool | None:
        model = {"gen_ai.request.model": "duo/failing"}
        there = (
            of("ingress", "sluice.requests", **model, **{"http.response.status_code": "200"}),
            of("relay", "gen_ai.client.operation.duration", **model, **{"error.type": "502"}),
            of("relay", "gen_ai.client.operation.time_to_first_chunk", **model),
            of("relay", "gen_ai.client.token.usage", **model, **{"gen_ai.token.type": "output"}),
            of("router", "sluice.routes"),
            of("policy", "sluice.decisions", **{"sluice.decider": "policy"}),
            of("metering", "sluice.requests.ended", **model, **{"sluice.outcome": "completed"}),
            of("metering", "sluice.consumer.lag", **{"messaging.consumer.group.name": "metering"}),
            [line for line in receiver.lines if line.trace_id == trace_id and line.body == "falling back"],
        )
        return True if all(there) else None

    await until(arrived, what="all metrics and the log line")
    durations = of("relay", "gen_ai.client.operation.duration", **{"gen_ai.request.model": "duo/failing"})
    assert trace_id in {one.trace_id.hex() for point in durations for one in point.exemplars}
    assert "metrics-canary" not in str(receiver.lines) + str(receiver.points)


async def test_each_attempt_is_a_span_of_its_own(duo: Gateway, traces: tuple[Collector, str]) -> None:
    response = await duo.post(chat("hi", model="duo/failing"), traceparent=f"00-{TRACE}-{'1' * 16}-01")
    assert _who(response) == (200, "stub", "first=502")
    names = {"relay answer", "chat fails:error=500", "chat echo-1"}

    async def whole() -> bool | None:
        return names <= {span.name for span in traces[0].trace(TRACE)} or None

    await until(whole, what="a span for each attempt")


async def test_an_outage_is_known_to_all_routers_and_a_user_s_own_key_tells_nothing(duo: Gateway) -> None:
    plane = Plane(duo, 1)
    owners = [await plane.person() for _ in range(8)]
    mine = await _with_own_key(plane)
    for _ in range(6):
        assert (await plane.ask(mine.key, FAIL, model="solo/echo")).status_code == 502
    entry = await duo.entry((await plane.ask(mine.key, FAIL, model="solo/echo")).headers["x-request-id"])
    assert entry["byok"]
    # Reports keep their order, so that with these the own key's would have been read.
    for _ in range(4):
        assert _who(await plane.ask(owners[0].key, model="duo/echo")) == (200, "first", None)

    async def routed_around() -> bool | None:
        response = await plane.ask(owners[0].key, model="duo/failing")
        assert response.status_code == 200
        return "x-sluice-tried" not in response.headers or None

    await until(routed_around, what="an open breaker")
    served = (await duo.stub_stats())["requests"]
    for owner in owners:
        assert _who(await plane.ask(owner.key, model="duo/echo")) == (200, "stub", None)
    assert (await duo.stub_stats())["requests"] == served + len(owners)
    # It failed often, not always: who has no other provider is still served.
    assert _who(await plane.ask(owners[0].key, model="solo/echo")) == (200, "first", None)


async def _with_own_key(plane: Plane) -> Person:
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/provider-keys/first"
    await plane.call("PUT", path, {"key": "sk-stub-mine"}, key=person.key)

    async def used() -> bool | None:
        response = await plane.ask(person.key, model="solo/echo")
        if response.status_code != 200:
            return None
        return (await plane.gateway.entry(response.headers["x-request-id"]))["byok"] or None

    await until(used, what="the own key in use")
    return person


async def test_who_is_down_is_not_waited_for_and_who_is_well_again_is_found_out(
    kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    short = {"SLUICE_ROUTING__BREAKER__OPEN_S": "1"}
    folder = tmp_path_factory.mktemp("recovery")
    async with running_stack(folder, kafka, config=CONFIG, environment=short) as gateway:

        async def asked(text: str, model: str, status: int, provider: str | None) -> httpx.Response:
            async def seen() -> httpx.Response | None:
                response = await gateway.post(chat(text, model=model))
                return response if _who(response)[:2] == (status, provider) else None

            return await until(seen, what=f"{status} by {provider}")

        refused = await asked(FAIL, "solo/echo", 503, None)
        assert refused.headers["retry-after"] == "1"
        entry = await gateway.entry(refused.headers["x-request-id"])
        assert (entry["outcome"], entry["attempts"], entry["cost_microdollars"]) == ("failed", 0, 0)
        await asked("hi", "solo/echo", 200, "first")
        await asked("hi", "duo/echo", 200, "first")
        # Who is at a limit comes second for a while.
        assert (await gateway.post(chat("[[stub error=429]]", model="solo/echo"))).status_code == 429
        await asked("hi", "duo/echo", 200, "stub")
