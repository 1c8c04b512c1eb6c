"""Secrets kept out of all output: tokens by their form, values of secret-looking variables."""

import os
import re
from collections.abc import Mapping
from typing import Any, TypeVar

_FORMS = (
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{12,})",
    r"\b(?:gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,})",
    r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    r"(?<=://)[^/\s@]+(?=@)",
)
_SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASS", re.IGNORECASE)
_SHORTEST = 8
"""Of the values of variables: a shorter one stands in many a text by chance."""

T = TypeVar("T")


def redacted(value: T) -> T:
    """Return a text, or plain JSON with all texts in it, without secrets; keys stay as they are.

    >>> redacted("401 for https://me:hunter2@hub.example with hf_abcdefghijkl")
    '401 for https://***@hub.example with ***'
    >>> redacted({"title": ["of ghp_abcdefghijklmnopqr", 1]})
    {'title': ['of ***', 1]}
    """
    known = sorted(map(re.escape, _values()), key=len, reverse=True)
    cleared: T = _cleared(value, re.compile("|".join([*known, *_FORMS])))
    return cleared


def _values() -> set[str]:
    """Return what variables hold whose names look secret, but for paths: those are no secrets."""
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    # Path.exists raises where a text is too long to name a file.
    return {v for v in named if len(v) >= _SHORTEST and not os.path.exists(v)}  # noqa: PTH110


def _cleared(value: Any, secret: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return secret.sub("***", value)
    if isinstance(value, Mapping):
        return {key: _cleared(inner, secret) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleared(inner, secret) for inner in value]
    return value
