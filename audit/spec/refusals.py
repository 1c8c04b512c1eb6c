"""What a spec may not ask for, whatever key it stands under: code, pickles, the network."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from audit.spec.document import Document, Problem, Where
from audit.storage.weights import PICKLED

URL = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://|\s*file:/", re.ASCII)
CODE = {"trust_remote_code", "custom_pipeline", "custom_revision"}
PROSE = {"title", "target_reason", "source", "text", "template", "licence"}
"""Keys whose text people read and nothing opens."""


def refusals(document: Document) -> Iterator[Problem]:
    """Yield what is refused for safety: each makes the exit status 6."""
    for where, value in _leaves(document.value, ()):
        message = _refusal(where, value)
        if message:
            yield Problem(document.mark(where), where, message, refused=True)


def _refusal(where: Where, value: Any) -> str | None:
    key = next((part for part in reversed(where) if isinstance(part, str)), "")
    if key in CODE and value not in (False, None):
        return f"{key} would run code of a model repository; use a plain diffusers folder"
    if not isinstance(value, str) or key in PROSE or _is_prompt(where):
        return None
    if URL.match(value):
        return f"{value!r} is a URL; a spec reads local files and hub ids only"
    suffix = value[value.rfind(".") :].lower() if "." in value else ""
    if suffix in PICKLED and not any(c.isspace() for c in value):
        return f"{value!r} holds pickled weights, which can run code; convert it to safetensors"
    return None


def _is_prompt(where: Where) -> bool:
    return "prompts" in where and where[-1] not in {"file", "set"}


def _leaves(value: Any, where: Where) -> Iterator[tuple[Where, Any]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaves(child, (*where, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from _leaves(child, (*where, i))
    else:
        yield where, value
