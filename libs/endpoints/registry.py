"""All endpoints by the surface that they are to clients."""

from collections.abc import Mapping

from contracts.requests import Surface
from libs.config.providers import Provider
from libs.endpoints import images, moderations, rerank, speech, transcriptions
from libs.endpoints.endpoint import Endpoint

ENDPOINTS: Mapping[Surface, Endpoint] = {
    Surface.MODERATIONS: moderations.ENDPOINT,
    Surface.IMAGE_GENERATIONS: images.GENERATIONS,
    Surface.IMAGE_EDITS: images.EDITS,
    Surface.TRANSCRIPTIONS: transcriptions.ENDPOINT,
    Surface.SPEECH: speech.ENDPOINT,
    Surface.RERANK: rerank.ENDPOINT,
}


def can_have(provider: Provider, surface: Surface) -> bool:
    """The provider speaks OpenAI's APIs, and is not known to lack this one."""
    return provider.protocol.startswith("openai") and surface not in provider.lacks
