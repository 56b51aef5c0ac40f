"""All protocols of providers by name."""

from typing import get_args

from libs.chat.providers.anthropic_messages import adapter as anthropic_messages
from libs.chat.providers.bedrock_converse import adapter as bedrock_converse
from libs.chat.providers.gemini import adapter as gemini
from libs.chat.providers.openai_chat import adapter as openai_chat
from libs.chat.providers.openai_responses import adapter as openai_responses
from libs.chat.providers.protocol import Adapter
from libs.config.providers import ProtocolName

ADAPTERS: dict[ProtocolName, Adapter] = {
    "openai-chat": openai_chat.ADAPTER,
    "openai-responses": openai_responses.ADAPTER,
    "anthropic-messages": anthropic_messages.ADAPTER,
    "gemini": gemini.ADAPTER,
    "bedrock-converse": bedrock_converse.ADAPTER,
}
assert set(ADAPTERS) == set(get_args(ProtocolName))
