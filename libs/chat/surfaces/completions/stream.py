"""Streams of completions from before chat. Sans-I/O."""

from libs.chat.shapes.completion import Chunk, Fields
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.completions.answer import identity, text_choice
from libs.chat.surfaces.completions.request import echoed
from libs.chat.surfaces.writer import data_event, text_of


class CompletionsWriter:
    """See `libs.chat.surfaces.writer.Writer`."""

    def __init__(self, body: Fields) -> None:
        self._usage = wants_usage(body)
        self._echo = echoed(body)
        self._begun: set[int] = set()
        """Choices whose prompt was sent."""

    def chunk(self, chunk: Chunk) -> str:
        """See `Writer`. What is no text, a role or a thought, is passed over."""
        choices = []
        for choice in chunk["choices"]:
            index, text = choice.get("index", 0), text_of((choice.get("delta") or {}).get("content"))
            if self._echo and index not in self._begun:
                self._begun.add(index)
                text = self._echo + text
            if text or choice.get("finish_reason"):
                choices.append(text_choice(index, text, choice))
        return data_event({**identity(chunk), "choices": choices}) if choices else ""

    def finish(self, tail: Chunk | None) -> str:
        """See `Writer`."""
        last = data_event({**identity(tail), "choices": [], "usage": tail["usage"]}) if tail and self._usage else ""
        return f"{last}data: {DONE}\n\n"
