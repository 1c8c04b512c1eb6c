"""Secrets kept out of all output: tokens by their form, values of secret-looking variables."""

import os
import re

_FORMS = re.compile(
    r"\b(hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{16,}|ghp_[A-Za-z0-9]{16,}|AKIA[A-Z0-9]{12,})"
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASS", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text without secrets.

    >>> redacted("401 for https://me:hunter2@hub.example with hf_abcdefghijkl")
    '401 for https://***@hub.example with ***'
    """
    text = _FORMS.sub("***", text)
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return text
