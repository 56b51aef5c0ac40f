"""Sinks from their configuration."""

import os
from collections.abc import Mapping
from functools import partial
from importlib import import_module

from contracts.services import SINK_GROUP
from libs.config.sinks import (
    ClickHouseSink,
    CustomSink,
    EmailSink,
    EventSinkConfig,
    FilesSink,
    LangfuseSink,
    S3Sink,
    SinkConfig,
    WebhookSink,
)
from libs.sealing.contents import key_pair
from libs.sealing.hybrid import SealError
from services.sinks.core.s3 import Access
from services.sinks.kinds.clickhouse import ClickHouse
from services.sinks.kinds.email import Email
from services.sinks.kinds.langfuse import Langfuse
from services.sinks.kinds.webhook import Webhook
from services.sinks.opening import Opening
from services.sinks.receivers import FileReceiver, Receiver, SinkReceiver
from services.sinks.sink import Sink
from services.sinks.stores import Bucket, Folder

CONTENTS_KEY = "SLUICE_SINK_CONTENTS_KEY"
"""The variable with the private half of the key to which contents are sealed."""


class SinkConfigError(Exception):
    """A sink cannot be made; the message names it and what is missing, and quotes no secret."""


def make_receiver(name: str, config: SinkConfig, environment: Mapping[str, str] = os.environ) -> Receiver:
    """What a group's records are given to. Raises SinkConfigError."""
    opening = _opening(name, config, environment)
    match config:
        case FilesSink():
            return FileReceiver(Folder(config.path), config, opening)
        case S3Sink():
            secret = partial(_secret, name, environment)
            access = Access(secret(config.access_key), secret(config.secret_key), config.region)
            return FileReceiver(Bucket(config, access), config, opening)
        case _:
            return SinkReceiver(make_sink(name, config, environment), opening)


def make_sink(name: str, config: EventSinkConfig, environment: Mapping[str, str] = os.environ) -> Sink:
    """A sink that is given events. Raises SinkConfigError."""
    secret = partial(_secret, name, environment)
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


def _opening(name: str, config: SinkConfig, environment: Mapping[str, str]) -> Opening:
    reader = f"{SINK_GROUP.name}.{name}"
    if "contents" not in config.records:
        return Opening(reader)
    try:
        pair = key_pair(_secret(name, environment, CONTENTS_KEY))
    except SealError as error:
        raise SinkConfigError(f"sink {name}: {error}") from None
    return Opening(reader, pair, getattr(config, "organizations", None))


def _secret(name: str, environment: Mapping[str, str], reference: str | None) -> str:
    if reference is None:
        return ""
    variable = reference.removeprefix("env:")
    if not environment.get(variable):
        raise SinkConfigError(f"sink {name}: the environment has no {variable}")
    return environment[variable]
