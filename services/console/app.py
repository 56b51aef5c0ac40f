"""Wiring of the console."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.bus.service import Service
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from libs.database.outbox import Outbox
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.mail.smtp import MailServer
from libs.runtime.process import SettingsError
from libs.runtime.server import HttpServer
from libs.sealing.key_encryption import key_ring
from services.console.alert_mails import AlertMails
from services.console.api import application
from services.console.batches import Batches
from services.console.dead_letters import DeadLetterQueues
from services.console.guard import Guard
from services.console.key_quotas import ProviderKeyUses
from services.console.last_used import LastUsed
from services.console.live import Live
from services.console.meters import Meters
from services.console.outbox import SCHEMA, states
from services.console.parts import Parts
from services.console.provider_keys import ProviderKeys
from services.console.settings import ConsoleSettings
from services.console.signing import SigningKeys
from services.console.single_sign_on import SingleSignOn
from services.console.sinks import Sinks
from services.console.store import catalog
from services.console.verdicts import VerdictLog


def _sign_on(settings: ConsoleSettings) -> SingleSignOn | None:
    if settings.oidc_issuer is None:
        return None
    try:
        return SingleSignOn(
            settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.oidc_name
        )
    except ValueError as error:
        raise SettingsError(f"SLUICE_CONSOLE_OIDC_ISSUER: {error}") from None


def _alert_mails(settings: ConsoleSettings, database: Database, sinks: Sinks) -> AlertMails | None:
    if settings.mail_host is None:
        return None
    if not settings.mail_sender:
        raise SettingsError("SLUICE_CONSOLE_MAIL_SENDER: from which address do mails come?")
    if settings.mail_password and settings.mail_security == "none":
        raise SettingsError("SLUICE_CONSOLE_MAIL_SECURITY: a password needs `starttls` or `tls`")
    server = MailServer(
        settings.mail_host, settings.mail_port, settings.mail_security, settings.mail_user, settings.mail_password
    )
    return AlertMails(database, sinks.alerts, server, settings.mail_sender, settings.public_url)


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """The management API in, control records out."""
    settings = ConsoleSettings()
    database = Database(DatabaseSettings(), SCHEMA, Path(__file__).with_name("migrations"))
    signing = SigningKeys(key_ring(settings.key_encryption_keys))
    config, versions = GatewayConfig(), CatalogVersions()
    guard = Guard(database, service.producer.signer, versions, lambda: outbox.wake())
    outbox = Outbox(database, SCHEMA, service, states, version=guard.version)
    provider_keys, meters = ProviderKeys(service.producer, versions), Meters()
    sinks = Sinks(service.producer)
    mails = _alert_mails(settings, database, sinks)
    live = Live(service, versions)
    batches, key_uses = Batches(service), ProviderKeyUses(service)
    parts = Parts(
        database=database,
        signing=signing,
        provider_keys=provider_keys,
        meters=meters,
        live=live,
        batches=batches,
        key_uses=key_uses,
        verdicts=VerdictLog(service),
        dead_letters=DeadLetterQueues(service.bus, settings.operator_kafka_username, settings.operator_kafka_password),
        sinks=sinks,
        versions=versions,
        config=config,
        operator_token=settings.operator_token,
        gateway_url=settings.gateway_url,
        playground_url=settings.playground_url or settings.gateway_url,
        changed=outbox.wake,
        stripe_secrets=tuple(one.strip() for one in settings.stripe_webhook_secret.split(",") if one.strip()),
        sign_on=_sign_on(settings),
        sign_on_domains=frozenset(one.strip().lower() for one in settings.oidc_domains.split(",") if one.strip()),
        public_url=settings.public_url,
        mails=mails is not None,
        proxies=config.trusted_proxies,
        forwarded_header=config.forwarded_header,
    )
    views = service.views(
        *provider_keys.views, meters.view, *sinks.views, *guard.views.values(), on_refused=guard.on_refused
    )
    last_used = LastUsed(service, database)
    service.health.check("database", lambda: database.ready)
    service.health.check("outbox", lambda: outbox.ready)
    async with service.running(database):
        await database.wait_ready()
        async with database.pool.acquire() as connection, connection.transaction():
            await signing.ensure(connection)
            # From the database, which is right, whether or not the log can be read yet.
            first = await catalog.publish_at_start(connection, config)
        versions.changed(first.state_key, first)
        server = HttpServer(
            application(parts), settings.host, settings.port, inherits="http", timeout_graceful_shutdown=5
        )
        async with service.running(views, outbox, last_used, live, batches, key_uses, server):
            await views.wait_ready()
            async with service.running(guard, *([mails] if mails else [])):
                yield
