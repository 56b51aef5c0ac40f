"""The brokers that commands about the log talk to."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from deploy.local.errors import StackError
from libs.bus.settings import BusSettings
from services.cli.running import running

T = TypeVar("T")


def brokers() -> BusSettings:
    """Those of the Sluice of this folder, or those that SLUICE_KAFKA_BOOTSTRAP leads to.

    Raises:
        StackError: there is neither.
    """
    if "SLUICE_KAFKA_BOOTSTRAP" in os.environ:
        return BusSettings()
    _, state = running()
    return BusSettings(bootstrap=state.kafka, partitions=state.kafka_partitions)


def asked(question: Coroutine[Any, Any, T]) -> T:
    """What a question to the brokers brings. Raises StackError where they refuse it, or do not answer."""
    try:
        return asyncio.run(question)
    except KafkaError as error:
        raise StackError(f"the broker refuses, or does not answer: {error!r}"[:300]) from None
