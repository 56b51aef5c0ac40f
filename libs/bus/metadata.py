"""Clients that ask where a topic is do not create it.

A Kafka metadata request says whether the broker may create what it is asked for; aiokafka 0.14 always says yes and has
no option for it. A topic that comes to be so has the broker's count of partitions and is not compacted: whoever
follows the one partition of a control view then misses the keys of all others.
"""

from functools import partial

import aiokafka.admin.client
import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest


def never_create_topics() -> None:
    """From now on this process creates topics by `AIOKafkaAdminClient.create_topics` only."""
    for module in (aiokafka.client, aiokafka.admin.client):
        module.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)
