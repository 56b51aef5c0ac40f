"""Users and access of a cluster, set through Kafka's admin protocol: what aiokafka's admin client does not do.

Sources: Kafka's protocol, APIs 29 to 31 (ACLs) and 51 (SCRAM credentials); RFC 5802 (SCRAM), RFC 7677.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, KafkaTimeoutError, for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

from libs.bus.access import PRINCIPAL, Entry, Operation, Pattern, Resource
from libs.bus.settings import BusSettings

VISIBLE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
ITERATIONS = 8_192
_SHA_512 = 2
_ANY, _ALLOW = 1, 3
_ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done about a cluster's access."""

    users: int
    """Whose passwords were set."""
    entries: int
    """That there are now."""
    removed: int
    """Entries of services that they need no more."""


async def apply(settings: BusSettings, wanted: Collection[Entry], passwords: Mapping[str, str]) -> Applied:
    """Sets users and access in one call each; entries of services that are not wanted go in a third.

    Entries of other principals than ``sluice-...`` are left alone.

    Args:
        settings: of an administrator.
        passwords: by user.

    Raises:
        KafkaError: the broker is away, or refuses; what was set before stays.
    """
    client = AIOKafkaAdminClient(**settings.connection())
    await client.start()
    try:
        if passwords:
            answer = await client._send_request(_AlterUsers(passwords))
            _raise_first((code, message) for _user, code, message, _tags in answer.results)
        there = await _present(client)
        missing = sorted(set(wanted) - there)
        if missing:
            answer = await client._send_request(_CreateEntries(missing))
            _raise_first(answer.creation_responses)
        obsolete = sorted(there - set(wanted))
        if obsolete:
            answer = await client._send_request(_DeleteEntries(obsolete))
            _raise_first((code, message) for code, message, _matching in answer.filter_responses)
        await _visible(client, set(wanted))
    finally:
        await client.close()
    return Applied(len(passwords), len(set(wanted)), len(obsolete))


async def _visible(client: AIOKafkaAdminClient, wanted: set[Entry]) -> None:
    """Brokers follow the controller's log: what it has taken they know a moment later, passwords before entries."""
    try:
        async with asyncio.timeout(VISIBLE_WITHIN_S):
            while await _present(client) != wanted:
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise KafkaTimeoutError("the brokers do not know the new entries yet") from None


async def _present(client: AIOKafkaAdminClient) -> set[Entry]:
    """The entries of our services."""
    answer = await client._send_request(DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY))
    _raise_first([(answer.error_code, answer.error_message)])
    found: set[Entry] = set()
    for kind, name, pattern, acls in answer.resources:
        for principal, host, operation, permission in acls:
            user = principal.removeprefix("User:")
            if user.startswith(PRINCIPAL) and (host, permission) == (_ANY_HOST, _ALLOW):
                try:
                    found.add(Entry(user, Resource(kind), name, Operation(operation), Pattern(pattern)))
                except ValueError:
                    # An operator's own, of a kind that no service needs.
                    continue
    return found


def _raise_first(results: Any) -> None:
    for code, message in results:
        error: type[KafkaError] = for_code(code)
        if code:
            raise error(message or error.__name__)


class _CreateEntries(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, entries: Collection[Entry]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([_wire(entry) for entry in self._entries])


class _DeleteEntries(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = DeleteAclsRequest_v1.API_KEY

    def __init__(self, entries: Collection[Entry]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([_wire(entry) for entry in self._entries])


def _wire(entry: Entry) -> tuple[object, ...]:
    where = int(entry.resource), entry.name, int(entry.pattern)
    return (*where, f"User:{entry.user}", _ANY_HOST, int(entry.operation), _ALLOW)


class _UsersAltered(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterUsersStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _UsersAltered
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterUsers(Request[_AlterUsersStruct]):  # type: ignore[misc]
    """Sets passwords; the broker is given only what they are hashed to."""

    API_KEY = 51

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._users = [(user, *_salted(password)) for user, password in sorted(passwords.items())]

    def build(self, request_struct_class: Any) -> Any:
        users: list[Any] = [(user, _SHA_512, ITERATIONS, salt, salted, {}) for user, salt, salted in self._users]
        return request_struct_class([], users, {})


def _salted(password: str) -> tuple[bytes, bytes]:
    salt = secrets.token_bytes(24)
    return salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
