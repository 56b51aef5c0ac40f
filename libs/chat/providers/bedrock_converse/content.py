"""Blocks of a message in Converse's form. Pure.

Source: the Bedrock API reference, "ContentBlock".
"""

from libs.chat.shapes.completion import Part
from libs.chat.shapes.converse import Block
from libs.chat.surfaces.writer import SurfaceError, address_of, image_url_of, inline_data, parts_in

CACHE_POINT: Block = {"cachePoint": {"type": "default"}}

_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_VIDEOS = {"video/quicktime": "mov", "video/x-matroska": "mkv", "video/3gpp": "three_gp", "video/x-ms-wmv": "wmv"}
"""Where the format is not the media type's own name."""


def blocks_of(content: str | list[Part] | None) -> list[Block]:
    """A message's content as blocks, with a cache point after each part that is marked. Raises SurfaceError."""
    if isinstance(content, str):
        return [{"text": content}] if content else []
    found: list[Block] = []
    for part in parts_in(content):
        found.append(_block(part))
        if "cache_control" in part:
            found.append(CACHE_POINT)
    return found


def _block(part: Part) -> Block:
    kind = part.get("type")
    if kind == "image_url":
        media_type, data = _bytes(image_url_of(part))
        return {"image": {"format": media_type.partition("/")[2].replace("jpg", "jpeg"), "source": {"bytes": data}}}
    if kind == "file":
        file = part.get("file") or {}
        media_type, data = _bytes(str(file.get("file_data")))
        name = "".join(one if one.isalnum() else " " for one in str(file.get("filename") or "document"))
        form = _DOCUMENTS.get(media_type, "txt")
        return {"document": {"format": form, "name": " ".join(name.split())[:200], "source": {"bytes": data}}}
    if kind == "video_url":
        media_type, data = _bytes(address_of(part.get("video_url")))
        form = _VIDEOS.get(media_type, media_type.partition("/")[2])
        return {"video": {"format": form, "source": {"bytes": data}}}
    return {"text": str(part.get("text") or "")}


def _bytes(url: str) -> tuple[str, str]:
    inline = inline_data(url)
    if inline is None or ";base64," not in url:
        raise SurfaceError("this model takes images and files as `data:` URLs in base64 only, not by address.")
    return inline
