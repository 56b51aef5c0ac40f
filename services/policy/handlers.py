"""Requests in, verdicts out."""

from collections.abc import Sequence

from contracts import topics
from contracts.control import PolicySet
from contracts.requests import RequestAccepted
from libs.bus.processor import Processor, Work
from libs.bus.records import Received
from libs.bus.views import View
from libs.config.versions import CatalogVersions
from libs.telemetry.instruments import count_decision
from libs.telemetry.tracing import Step
from services.policy.core.rules import decide


class PolicyProcessor(Processor[RequestAccepted]):
    """Decides each request by its organization's rules. It keeps nothing."""

    def __init__(self, work: Work, versions: CatalogVersions, policies: View[PolicySet]) -> None:
        """
        Args:
            policies: by organization ID.
        """
        self._work = work
        self._versions = versions
        self._policies = policies

    async def process(self, batch: Sequence[Received[RequestAccepted]]) -> None:
        """Publishes a decision for each request."""
        for received in batch:
            step = Step("policy decide", received.traceparent)
            request = received.record
            catalog = await self._versions.known(request.catalog_version)
            decision = decide(request, catalog, self._policies.entries, self._policies.disputed)
            step.note_refusal(decision.refusal)
            count_decision("policy", decision.refusal)
            await self._work.publish(topics.POLICY_DECISIONS, decision, step.traceparent)
            step.end()
