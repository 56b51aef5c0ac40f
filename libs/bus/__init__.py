"""The log: one way to consume, one to publish, one to hold a view, one to run a service."""

from libs.bus.metadata import never_create_topics

never_create_topics()
