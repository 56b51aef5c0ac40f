"""All protocols of providers by name."""

from typing import get_args

from libs.chat.providers import anthropic_messages, bedrock_converse, gemini, openai_chat, openai_responses
from libs.chat.providers.protocol import Adapter
from libs.config.gateway import ProtocolName

ADAPTERS: dict[ProtocolName, Adapter] = {
    "openai-chat": openai_chat.ADAPTER,
    "openai-responses": openai_responses.ADAPTER,
    "anthropic-messages": anthropic_messages.ADAPTER,
    "gemini": gemini.ADAPTER,
    "bedrock-converse": bedrock_converse.ADAPTER,
}
assert set(ADAPTERS) == set(get_args(ProtocolName))
