"""What a benchmark asks for: prompts with stable ids, filled from templates or listed."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field

from audit.errors import nearest, unknown
from audit.placeholders import placeholders
from audit.spec.document import Unreadable, Where
from audit.spec.prompt_files import read_prompts
from audit.spec.schema import FieldError, Mistake, Strict, shown

MAX_PROMPTS = 20_000
ANY = "any"
"""Id of a value that asks for no class, in a slot named as an attribute."""
ID = re.compile(r"(?!(con|prn|aux|nul|com\d|lpt\d)(\.|$))[a-z0-9][a-z0-9._-]{0,63}(?<!\.)")
"""What is safe in a path on any system, in an address and in a table."""


class Prompt(Strict):
    """One prompt of a benchmark."""

    id: str
    """Names the prompt in tables, metrics and seeds."""
    text: str
    values: dict[str, str] = Field(default_factory=dict)
    """What filled the slots of the template, by slot."""
    asks: dict[str, str] = Field(default_factory=dict)
    """Classes that the text asks for, by attribute.

    A template's slots stand here with the id of what filled them: where a slot is named as an
    attribute the prompt asks for the class of that id; `any` asks for none.
    """


def expand(written: Any, folder: Path) -> list[dict[str, Any]]:
    """Return the prompts that a spec writes in any of its four forms.

    `{template: "a portrait of a {job}", job: [cook, nurse]}` is filled with every combination of
    values; a slot's values may be a mapping from id to text. A list holds texts or `{id, text}`.
    `{file: jobs.csv}` reads a file beside the spec, `{set: heim}` a published set; with a
    `template` of one slot, their lines fill it.

    Raises:
        FieldError: every mistake, with its path below `prompts`.
    """
    if isinstance(written, Mapping):
        placed = list(_mapped(dict(written), folder))
    elif isinstance(written, list):
        placed = list(_listed(written))
    else:
        wanted = "a template, a list, a file or a set of prompts"
        raise FieldError(f"expected {wanted}, got {shown(written)}")
    if not placed:
        raise FieldError("no prompts; at least one is needed")
    if len(placed) > MAX_PROMPTS:
        raise FieldError(f"{len(placed):,} prompts; a benchmark has at most {MAX_PROMPTS:,}")
    if wrong := list(_mistakes(placed)):
        raise FieldError(*wrong)
    return [prompt for _, prompt in placed]


def slug(text: str) -> str:
    """Return the id of a text: readable, with a hash where reading alone could confuse two texts.

    >>> slug("chief executive"), slug("Krankenpfleger/in")
    ('chief-executive', 'krankenpfleger-in-b0106eb1')
    """
    text = unicodedata.normalize("NFC", text)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if re.fullmatch(r"[A-Za-z0-9 -]+", text) and len(plain) <= 48 and ID.fullmatch(plain):
        return plain
    return f"{plain[:48]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


Placed = tuple[Where, dict[str, Any]]
"""A prompt, and the path below `prompts` where it is written."""


def _listed(written: list[Any]) -> Iterator[Placed]:
    wrong: list[Mistake] = []
    for i, item in enumerate(written):
        if isinstance(item, str):
            yield (i,), {"id": slug(item), "text": item, "values": {}, "asks": {}}
        elif isinstance(item, Mapping) and isinstance(item.get("text"), str):
            allowed = ("id", "text", "values", "asks")
            wrong += [((i,), unknown("key", key, allowed)) for key in item if key not in allowed]
            yield (i,), {"id": slug(item["text"]), "values": {}, "asks": {}} | dict(item)
        elif not isinstance(item, Unreadable):
            wrong.append(((i,), f"expected text or {{id, text}}, got {shown(item)}"))
    if wrong:
        raise FieldError(*wrong)


def _mapped(written: dict[str, Any], folder: Path) -> Iterator[Placed]:
    where = [key for key in ("file", "set") if key in written]
    template = written.pop("template", None)
    if len(where) > 1 or (not where and template is None):
        raise FieldError("expected one of `template`, `file` and `set`")
    if not isinstance(template, str | None):
        raise FieldError((("template",), f"expected text, got {shown(template)}"))
    if not where:
        yield from _filled(str(template), written)
        return
    lines, own = read_prompts(where[0], written.pop(where[0]), folder)
    if written:
        known = (where[0], "template")
        raise FieldError(*(((key,), unknown("key", key, known)) for key in written))
    template = template or own
    if template is None:
        yield from (((), prompt) for _, prompt in _listed(lines))
        return
    slots = _slots(template)
    if len(slots) != 1:
        raise FieldError((("template",), f"needs one slot for the lines, has {len(slots)}"))
    yield from _filled(template, {slots[0]: lines})


def _filled(template: str, slots: Mapping[str, Any]) -> Iterator[Placed]:
    names = _slots(template)
    unused = [slot for slot in slots if slot not in names]
    meant = {name: nearest(name, unused) for name in names if name not in slots}
    wrong: list[Mistake] = []
    for name, near in meant.items():
        hint = f"did you mean {{{near}}}?" if near else f"add `{name}:`"
        wrong.append((("template",), f"placeholder {{{name}}} has no values; {hint}"))
    wrong += [
        ((slot,), f"no placeholder {{{slot}}} in {template!r}")
        for slot in unused
        if slot not in meant.values()
    ]
    choices = []
    for name in names:
        values, found = _values(slots.get(name, ()))
        choices.append(values.items())
        wrong += [((name, *where), message) for where, message in found if name in slots]
    if wrong:
        raise FieldError(*wrong)
    for n, combination in enumerate(product(*choices)):
        if n > MAX_PROMPTS:
            return
        values = dict(zip(names, (text for _, text in combination), strict=True))
        text = template.format_map(values)
        key = "-".join(key for key, _ in combination) or slug(text)
        asks = dict(zip(names, (key for key, _ in combination), strict=True))
        short = key if len(key) <= 64 else slug(text)
        yield (), {"id": short, "text": text, "values": values, "asks": asks}


def _slots(template: str) -> list[str]:
    try:
        names = placeholders(template)
    except ValueError as wrong:
        raise FieldError((("template",), str(wrong))) from wrong
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            plain = "a small letter, then small letters, digits and _"
            found = f"placeholder {{{name}}} is not a plain name: {plain}"
            raise FieldError((("template",), found))
    return names


def _values(written: Any) -> tuple[dict[str, str], list[Mistake]]:
    """Return the values of a slot by id, and what is wrong with them."""
    if isinstance(written, Mapping):
        pairs = [(key, key, text) for key, text in written.items()]
    elif isinstance(written, list | tuple):
        pairs = [
            (i, slug(text) if isinstance(text, str) else "", text)
            for i, text in enumerate(written)
        ]
    else:
        return {}, [((), f"expected a list of texts, got {shown(written)}")]
    values: dict[str, str] = {}
    wrong: list[Mistake] = [] if pairs else [((), "no values; the template expands to nothing")]
    for at, key, text in pairs:
        if isinstance(text, Unreadable):
            continue
        if not isinstance(text, str):
            wrong.append(((at,), f"expected text, got {shown(text)}"))
        elif key in values:
            wrong.append(((at,), f"{text!r} and {values[key]!r} have the same id {key!r}"))
        else:
            values[key] = text
    return values, wrong


def _mistakes(placed: list[Placed]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for where, prompt in placed:
        key, text = prompt["id"], prompt["text"]
        if not isinstance(key, str) or not ID.fullmatch(key):
            yield where, f"prompt id {shown(key)} must match [a-z0-9][a-z0-9._-]{{0,63}}"
        elif key in seen:
            yield where, f"duplicate prompt id {key!r}: {shown(seen[key])} and {shown(text)}"
        else:
            seen[key] = text
        if "\0" in text:
            yield where, f"prompt {shown(key)} holds a NUL character"
        if not text.strip():
            yield where, f"prompt {shown(key)} is empty"


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_ENTRY = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "text": _TEXT,
        "values": {"additionalProperties": _TEXT},
        "asks": {"additionalProperties": _TEXT},
    },
    "required": ["text"],
    "additionalProperties": False,
}
FORMS: dict[str, Any] = {
    "description": "A template with its slots, a list, a file beside the spec or a published set.",
    "anyOf": [
        {"type": "array", "items": {"anyOf": [_TEXT, _ENTRY]}},
        {
            "type": "object",
            "properties": {"template": _TEXT, "file": _TEXT, "set": _TEXT},
            "additionalProperties": {"anyOf": [_TEXTS, {"additionalProperties": _TEXT}]},
        },
    ],
}
"""JSON Schema of what a spec may write for its prompts."""
