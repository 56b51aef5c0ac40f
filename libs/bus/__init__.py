"""The log: one way to consume, one to publish, one to hold a view, one to run a service."""

from libs.bus.connections import closed_is_broken
from libs.bus.fetching import fetch_in_sessions
from libs.bus.frames import read_in_place
from libs.bus.metadata import never_create_topics
from libs.bus.pacing import pace_requests
from libs.bus.records import make_records_raw

closed_is_broken()
read_in_place()
never_create_topics()
fetch_in_sessions()
pace_requests()
make_records_raw()
