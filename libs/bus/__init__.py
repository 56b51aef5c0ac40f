"""The log: one way to consume, one to publish, one to hold a view, one to run a service."""

from libs.bus.connections import closed_is_broken
from libs.bus.fetcher import fetch_directly
from libs.bus.frames import read_in_place
from libs.bus.metadata import never_create_topics
from libs.bus.sender import send_directly

closed_is_broken()
read_in_place()
never_create_topics()
fetch_directly()
send_directly()
