"""Pictures on their way to a model: which turn each belongs to, and the types that a wire takes.

How a turn holds them is each provider's file.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence

from orchestrator_v2.llm.errors import unsupported
from orchestrator_v2.llm.types import Image, Message

# What Anthropic's page on vision and OpenAI's on images name.
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def images_by_turn(messages: Sequence[Message], more: Sequence[Image]) -> list[tuple[Image, ...]]:
    """The images of each message, those of the options (`more`) with the last one of the user.

    Raises `RequestRejectedError`, unsent, where there is no such turn.
    """
    shown = [message.images for message in messages]
    if not more:
        return shown
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    if last_user < 0:
        raise unsupported("There is no turn of the user that the images belong to.", "Send a user's message.")
    shown[last_user] = (*shown[last_user], *more)
    return shown


def in_base64(image: Image, types: Collection[str] = IMAGE_TYPES) -> str:
    """The picture as text. Raises `RequestRejectedError`, unsent, for one of another type."""
    if image.media_type not in types:
        what = f"Images of the type '{image.media_type[:80]}' are not taken."
        raise unsupported(what, f"Use {', '.join(sorted(types))}.")
    return base64.b64encode(image.data).decode("ascii")
