"""Sinks from their configuration."""

import os
from collections.abc import Mapping
from importlib import import_module

from libs.config.sinks import ClickHouseSink, CustomSink, EmailSink, LangfuseSink, SinkConfig, WebhookSink
from services.sinks.kinds.clickhouse import ClickHouse
from services.sinks.kinds.email import Email
from services.sinks.kinds.langfuse import Langfuse
from services.sinks.kinds.webhook import Webhook
from services.sinks.sink import Sink


class SinkConfigError(Exception):
    """A sink cannot be made; the message names it and what is missing, and quotes no secret."""


def make_sink(name: str, config: SinkConfig, environment: Mapping[str, str] = os.environ) -> Sink:
    """Raises SinkConfigError."""

    def secret(reference: str | None) -> str:
        if reference is None:
            return ""
        variable = reference.removeprefix("env:")
        if not environment.get(variable):
            raise SinkConfigError(f"sink {name}: the environment has no {variable}")
        return environment[variable]

    try:
        match config:
            case WebhookSink():
                return Webhook(config, secret(config.secret))
            case ClickHouseSink():
                return ClickHouse(config, secret(config.password))
            case LangfuseSink():
                return Langfuse(config, secret(config.public_key), secret(config.secret_key))
            case EmailSink():
                return Email(config, secret(config.password))
            case CustomSink():
                module, _, attribute = config.factory.partition(":")
                made: Sink = getattr(import_module(module), attribute)(**config.options)
                return made
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise SinkConfigError(f"sink {name}: {error}") from None
