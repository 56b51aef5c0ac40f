"""Wiring of the ingress."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from contracts import topics
from contracts.requests import Surface
from libs.bus.service import Service
from libs.bus.views import View
from libs.bus.watch import BrokerWatch
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from libs.pricing.tokenizing import tokenizer
from libs.runtime.background import Repeated
from libs.runtime.connection import Connections
from libs.runtime.server import HttpServer
from services.ingress.authentication import Authenticator
from services.ingress.background import BackgroundResponses, ResponsePage
from services.ingress.balance import BalancePage
from services.ingress.batch_log import BatchLog
from services.ingress.batches import BatchPages
from services.ingress.claimant import Claimant
from services.ingress.completions import Completions
from services.ingress.core.generations import generation, request
from services.ingress.counting import TokenCountPage
from services.ingress.door import Door
from services.ingress.entrance import Entrance
from services.ingress.files import FilePages
from services.ingress.forgetting import ForgetPage
from services.ingress.gate import Gate
from services.ingress.generations import GenerationPage, Generations
from services.ingress.lines import Lines
from services.ingress.mcp import McpPage
from services.ingress.models import CatalogRoutes, NewestPages, PublicPage
from services.ingress.once import Once
from services.ingress.openapi import document
from services.ingress.profile import ProfileBalancePage, ProfilePage
from services.ingress.publishing import Publishing
from services.ingress.reading import Readings
from services.ingress.replies import RepliesReader
from services.ingress.routes import IN_BATCHES, PATHS, application, batch_routes, completion_paths
from services.ingress.running import Runner
from services.ingress.serving import Serving
from services.ingress.settings import IngressSettings
from services.ingress.stored import StoredPage, StoredResponses, items
from services.ingress.streams import StreamPage
from services.ingress.visitors import Visitors
from services.ingress.waiting import WaitingRoom

MOST_STALLED = 256
"""Clients that read nothing for minutes: each holds less than a MiB."""
SILENCE_S = 7.5
"""A stream says that it lives after one to two of these without an event."""
CLAIMED_WITHIN_S = 5.0
"""A reply partition. Without one, as without a broker, clients are refused."""
UNUSED_S = 3.0
"""So long a connection that is kept alive may be unused before it is closed, while the ingress drains."""


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """HTTP in, requests and prompts out; replies in, HTTP out."""
    config, settings = GatewayConfig(), IngressSettings()
    ingress_id = f"ingress-{secrets.token_hex(8)}"
    authenticator = Authenticator()
    watch = BrokerWatch(service.bus)
    readings, versions = Readings(service), CatalogVersions()
    room = WaitingRoom(readings.reread)
    replies = RepliesReader(service, room)
    claimant = Claimant(service, ingress_id, on_claimed=replies.claimed, on_lost=replies.lost)
    balances, policies, credentials = View(topics.BALANCES), View(topics.POLICIES), View(topics.CREDENTIALS)
    catalog = View(topics.CATALOG, on_change=versions.changed)
    views = service.views(*authenticator.views, balances, policies, credentials, catalog)
    visitors = Visitors(authenticator, config, lambda: versions.newest.limits)
    publishing = Publishing(
        service.producer, watch, claimant, replies, ingress_id=ingress_id, within_s=config.timeouts.publish_s
    )
    stored = StoredResponses(service, config.limits)
    once = Once(service, readings, replies, config.limits)
    background = BackgroundResponses(publishing, readings, stored)
    entrance = Entrance(config, versions, balances, policies, publishing, visitors, stored)
    door = Door(config.overload)
    gate = Gate(door, completion_paths(), completion_paths(Surface.MESSAGES))
    serving = Serving(publishing, room, replies, config.timeouts, background, entrance)

    def is_full() -> bool:
        return len(room) + once.reading >= versions.newest.limits.in_flight

    completions = Completions(door, gate, visitors, entrance, once, serving, is_full)
    batch_log = BatchLog(service)
    lines = Lines(completions, door, authenticator, config.batches.at_once)
    runner = Runner(batch_log, lines, config.batches, ingress_id)
    batches = BatchPages(batch_log, visitors, config.batches, {PATHS[surface]: surface for surface in IN_BATCHES})
    files = FilePages(batch_log, config.batches, config.limits, config.timeouts)
    generations = Generations(service, config.timeouts)
    pages, described = NewestPages(versions), document()
    routes = application(
        CatalogRoutes(pages, visitors, policies),
        {surface: completions.endpoint(surface) for surface in PATHS},
        balance=BalancePage(authenticator, balances),
        profile=ProfilePage(authenticator),
        profile_balance=ProfileBalancePage(authenticator, balances),
        counting=TokenCountPage(visitors, versions),
        response=ResponsePage(visitors, stored, background),
        input_items=StoredPage(visitors, stored, {"GET": items}),
        generation=GenerationPage(visitors, generations, versions, generation),
        request=GenerationPage(visitors, generations, versions, request),
        answer_cache=ForgetPage(visitors, service.producer),
        stream=StreamPage(visitors, readings, publishing),
        openapi=PublicPage(lambda _: described),
        mcp=McpPage(config, versions, visitors, door, entrance, publishing, serving, credentials.entries),
        batches=batch_routes(visitors, files, batches),
    )

    async def note_silence() -> None:
        for stalled in room.note_silence():
            publishing.note_stalled(stalled.request_id, stalled.reply_to)
        readings.note_silence()

    silence = Repeated("keep silent connections", note_silence, every_s=SILENCE_S)
    service.health.check("catalog", lambda: versions.ready)
    service.health.check("reply partition", lambda: claimant.held is not None and replies.ready)
    service.health.check("broker", lambda: watch.up)
    server = HttpServer(
        routes,
        settings.host,
        settings.port,
        connections=Connections(
            most_of_address=None if config.trusted_proxies else config.limits.connections_of_address,
            linger_s=UNUSED_S,
            patient=MOST_STALLED,
        ),
        gate=gate,
        inherits="http",
        announce_s=settings.announce_s,
        hurried=service.hurried,
        timeout_graceful_shutdown=settings.drain_s,
    )
    async with service.running(watch, views):
        await views.wait_ready()
        await versions.wait_ready()
        # Now, and not while a client waits.
        for encoding in set(versions.newest.counted_by.values()):
            await asyncio.to_thread(tokenizer, encoding)
        await asyncio.to_thread(pages.newest().models, datetime.now(UTC))
        async with service.running(stored, once, batch_log, readings, replies, claimant, silence):
            # On a socket that is kept open connections wait already.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLAIMED_WITHIN_S):
                    await replies.wait_ready()
            async with service.running(runner, server):
                yield
