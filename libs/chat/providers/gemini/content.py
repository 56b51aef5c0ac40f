"""Parts of a message in Gemini's form. Pure.

Source: the Gemini API reference, "Generating content": Part.
"""

from libs.chat.shapes.completion import Part as ChatPart
from libs.chat.shapes.gemini import Part
from libs.chat.surfaces.writer import address_of, image_url_of, inline_data, parts_in


def parts_of(content: str | list[ChatPart] | None) -> list[Part]:
    """A message's content as parts."""
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [part_of(part) for part in parts_in(content)]


def part_of(part: ChatPart) -> Part:
    """One part of a message."""
    kind = part.get("type")
    if kind == "image_url":
        return _data(image_url_of(part), "image/jpeg")
    if kind == "file":
        return _data(str((part.get("file") or {}).get("file_data")), "application/pdf")
    if kind == "video_url":
        return _data(address_of(part.get("video_url")), "video/mp4")
    if kind == "input_audio":
        audio = part.get("input_audio") or {}
        return {"inlineData": {"mimeType": f"audio/{audio.get('format')}", "data": audio.get("data")}}
    return {"text": str(part.get("text") or "")}


def _data(url: str, otherwise: str) -> Part:
    inline = inline_data(url)
    if inline is None:
        return {"fileData": {"mimeType": otherwise, "fileUri": url}}
    return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
