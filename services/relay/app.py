"""Wiring of the relay."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts import topics
from contracts.clock import now_ms
from contracts.services import RELAY_GROUP
from libs.bus.follower import From
from libs.bus.placing import partition_of_route
from libs.bus.processor import Work
from libs.bus.service import Service
from libs.bus.upkeep import Upkeep
from libs.bus.views import View
from libs.config.gateway import GatewayConfig
from libs.config.pins import Pins
from libs.config.versions import CatalogVersions
from libs.outbound.addresses import Reachable
from libs.outbound.http import Outbound
from services.relay.answer_cache import AnswerCache
from services.relay.attempts import Attempts
from services.relay.core.key_uses import KeyUses
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.handlers import LOOK_AFTER_EVERY_S, RECALL_BEFORE_MS, RelayProcessor
from services.relay.hooks import Hooks
from services.relay.means import Means
from services.relay.outcomes import reporting
from services.relay.ownership import Ownership
from services.relay.recording import Recording
from services.relay.servers import Servers
from services.relay.settings import RelaySettings
from services.relay.upstream import Upstreams


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Routes and prompts in; attempts, replies, usage and providers' outcomes out."""
    config, settings, versions = GatewayConfig(), RelaySettings(), CatalogVersions()
    timeouts = config.timeouts
    relay_id = f"relay-{secrets.token_hex(8)}"
    grants = Grants(relay_id, partial(partition_of_route, service.bus))
    relays = View(topics.RELAYS)
    grant_keys = View(topics.GRANT_KEYS, on_change=grants.keys_sealed)
    policies = View(topics.POLICIES)
    tally, key_uses = Tally(), KeyUses(relay_id)
    upstreams = Upstreams(timeouts, Pins.of(config))
    cache = AnswerCache(service.producer, grants, config.answer_cache)
    reachable = Reachable(config.mcp.networks)
    to_servers, to_hooks = Outbound(reachable), Outbound(reachable)
    servers, hooks = Servers(to_servers, config.mcp.answer_bytes), Hooks(to_hooks, grants)
    means = Means(grants, upstreams, tally, key_uses, timeouts, cache, servers, hooks, config.mcp.list_s)
    recording = Recording(service.producer, policies, config.contents.public_key)
    keep_ms = int(timeouts.route_s * 2_000) + RECALL_BEFORE_MS

    def make(work: Work) -> RelayProcessor:
        grants.own(work.partitions_of(topics.ROUTES), now_ms())
        announcement.wake()
        return RelayProcessor(work, service, attempts, keep_ms=keep_ms, drain_s=settings.drain_s)

    # Not static: a member's name says which relay runs an attempt, and it must go with its process (ADR 5).
    member = service.member(
        RELAY_GROUP,
        make,
        client_id=relay_id,
        static=False,
        tick_s=LOOK_AFTER_EVERY_S,
        # Attempts outlive their partitions, which are another relay's while they end.
        drains_on=topics.ATTEMPTS,
    )
    ownership = Ownership(relay_id, service.bus, member.tenure)
    attempts = Attempts(service.producer, means, versions, policies, recording, ownership)
    views = service.views(relays, grant_keys, policies, View(topics.CATALOG, on_change=versions.changed))
    announcement = Upkeep(service.producer, relays, lambda: {relay_id: grants.announcement(now_ms())})
    clients = service.follower(topics.CANCELLATIONS, attempts.on_client, begin=From.END)
    answers = service.follower(topics.ANSWERS, cache.receive, begin=From.BEGINNING)
    service.health.check("catalog", lambda: versions.ready)
    service.health.check("keys of its partitions", lambda: grants.ready)
    async with service.running(views):
        await views.wait_ready()
        await versions.wait_ready()
        reports = reporting(service.producer, tally, key_uses, relay_id)
        calls = (upstreams, to_servers, to_hooks)
        async with service.running(announcement, clients, answers, cache.background, *calls, reports, member):
            yield
