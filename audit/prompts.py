"""What a benchmark asks for: prompts with stable ids, from a template, a list, a file or a published set."""

import csv
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import Field

from audit.document import Unreadable, read_file
from audit.errors import unknown
from audit.schema import Strict, Wrong, shown

SETS = Path(__file__).with_name("prompt_sets")
MAX_PROMPTS = 20_000
ID = re.compile(r"(?!(con|prn|aux|nul|com\d|lpt\d)(\.|$))[a-z0-9][a-z0-9._-]{0,63}(?<!\.)")
SUFFIXES = (".yaml", ".yml", ".json", ".csv", ".txt")
_TEXTS = {"type": "array", "items": {"type": "string"}}
_VALUES = {"anyOf": [{"type": "string"}, _TEXTS, {"additionalProperties": {"type": "string"}}]}
FORMS: dict[str, Any] = {
    "description": "A template with its slots, a list, a file beside the spec, or a published set.",
    "anyOf": [
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {
                            "id": {"type": "string"},
                            "text": {"type": "string"},
                            "values": {},
                        },
                        "required": ["text"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
        {
            "type": "object",
            "properties": {k: {"type": "string"} for k in ("template", "file", "set")},
            "additionalProperties": _VALUES,
        },
    ],
}
"""JSON Schema of what a spec may write for its prompts."""


class Prompt(Strict):
    """One prompt of a benchmark."""

    id: str
    """Names the prompt in tables, metrics and seeds; `[a-z0-9][a-z0-9._-]{0,63}`."""
    text: str
    values: dict[str, str] = Field(default_factory=dict)
    """What filled the slots of the template, by slot."""


def expand(written: Any, folder: Path) -> list[dict[str, Any]]:
    """Return the prompts that a spec writes in any of its four forms.

    `{template: "a portrait of a {job}", job: [cook, nurse]}` is filled with every combination of
    values; a slot's values may be a mapping from id to text. A list holds texts or `{id, text}`.
    `{file: jobs.csv}` reads a file beside the spec and `{set: heim}` one of the published sets; both
    may add a template whose one slot the lines fill.

    Raises:
        Wrong: every mistake, with its path below `prompts`.
    """
    if isinstance(written, list):
        prompts = _listed(written)
    elif isinstance(written, Mapping):
        prompts = _from_mapping(dict(written), folder)
    else:
        raise Wrong(
            f"expected a template, a list, a file or a set of prompts, got {shown(written)}"
        )
    if not prompts:
        raise Wrong("no prompts; at least one is needed")
    if len(prompts) > MAX_PROMPTS:
        raise Wrong(f"{len(prompts):,} prompts; at most {MAX_PROMPTS:,} make a benchmark")
    _check(prompts)
    return prompts


def slug(text: str) -> str:
    """Return the id of a text: readable, and with a hash where reading alone would not tell texts apart.

    >>> slug("chief executive"), slug("Krankenpfleger/in")
    ('chief-executive', 'krankenpfleger-in-b3d0a33f')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFC", text).lower()).strip("-")
    if re.fullmatch(r"[A-Za-z0-9 -]+", text) and 0 < len(plain) <= 48 and ID.fullmatch(plain):
        return plain
    digest = hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()[:8]
    return f"{plain[:48]}-{digest}".lstrip("-")


def _listed(written: list[Any]) -> list[dict[str, Any]]:
    prompts, wrong = [], []
    for i, item in enumerate(written):
        if isinstance(item, Unreadable):
            continue
        if isinstance(item, str):
            prompts.append({"id": slug(item), "text": item, "values": {}, "at": (i,)})
        elif isinstance(item, Mapping) and isinstance(item.get("text"), str):
            extra = [key for key in item if key not in {"id", "text", "values"}]
            wrong += [((i,), unknown("key", key, ("id", "text", "values"))) for key in extra]
            prompts.append({"id": slug(item["text"]), "values": {}, "at": (i,)} | dict(item))
        else:
            wrong.append(((i,), f"expected text or {{id, text}}, got {shown(item)}"))
    if wrong:
        raise Wrong(*wrong)
    return prompts


def _from_mapping(written: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    if "file" in written and "set" in written:
        raise Wrong("give `file` or `set`, not both")
    if "file" not in written and "set" not in written:
        template = written.pop("template", None)
        if not isinstance(template, str):
            raise Wrong("expected `template`, `file` or `set`")
        return _filled(template, written)
    key = "file" if "file" in written else "set"
    name, template = written.pop(key), written.pop("template", None)
    if not isinstance(name, str):
        raise Wrong(((key,), f"expected text, got {shown(name)}"))
    if template is not None and not isinstance(template, str):
        raise Wrong((("template",), f"expected text, got {shown(template)}"))
    path = _published(name) if key == "set" else _beside(name, folder)
    content = _read(path, key)
    if isinstance(content, Mapping):
        content = {k: v for k, v in content.items() if k not in {"source", "licence"}} | written
        if template is not None:
            content["template"] = template
        return (
            _from_mapping(content, folder)
            if "template" in content
            else _listed(content["prompts"])
        )
    if written:
        raise Wrong(*(((extra,), unknown("key", extra, (key, "template"))) for extra in written))
    if template is None:
        return _listed(content)
    slots = _slots(template)
    if len(slots) != 1:
        raise Wrong((("template",), f"needs one slot for the lines of {name}, has {len(slots)}"))
    return _filled(template, {slots[0]: content})


def _filled(template: str, slots: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = _slots(template)
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    for name in names:
        if name not in slots:
            message = f"placeholder {{{name}}} is not defined; {unknown('slot', name, slots)}"
            wrong.append(
                (("template",), message if slots else f"placeholder {{{name}}} is not defined")
            )
    for name in slots:
        if name not in names:
            wrong.append(((name,), f"slot {name!r} is not in the template {template!r}"))
    choices = {}
    for name in names:
        if name in slots:
            choices[name], found = _values(name, slots[name])
            wrong += found
    if wrong:
        raise Wrong(*wrong)
    prompts = []
    for combination in product(*(choices[name].items() for name in names)):
        if len(prompts) > MAX_PROMPTS:
            break
        values = {name: text for name, (_, text) in zip(names, combination, strict=True)}
        ids = "-".join(key for key, _ in combination)
        joined = ids if len(ids) <= 64 else slug("/".join(values.values()))
        text = template.format_map(values)
        prompts.append({"id": joined or slug(text), "text": text, "values": values})
    return prompts


def _slots(template: str) -> list[str]:
    try:
        fields = [
            (name, spec, how)
            for _, name, spec, how in Formatter().parse(template)
            if name is not None
        ]
    except ValueError as wrong:
        raise Wrong(
            (("template",), f"{template!r}: {wrong}; write braces as {{{{ and }}}}")
        ) from wrong
    for name, spec, how in fields:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or spec or how:
            raise Wrong((("template",), f"placeholder {{{name}}} is not a plain name"))
    return list(dict.fromkeys(name for name, _, _ in fields))


def _values(
    slot: str, written: Any
) -> tuple[dict[str, str], list[tuple[tuple[str | int, ...], str]]]:
    if isinstance(written, str):
        written = [written]
    if isinstance(written, list):
        pairs: list[tuple[str | int, str | None, Any]] = [
            (i, None, text) for i, text in enumerate(written)
        ]
    elif isinstance(written, Mapping):
        pairs = [(key, key, text) for key, text in written.items()]
    else:
        return {}, [((slot,), f"expected a list of texts, got {shown(written)}")]
    values: dict[str, str] = {}
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    for at, key, text in pairs:
        if isinstance(text, Unreadable):
            continue
        if not isinstance(text, str):
            wrong.append(((slot, at), f"expected text, got {shown(text)}"))
        elif (key or slug(text)) in values:
            wrong.append(
                ((slot, at), f"duplicate value {text!r}: same id as {values[key or slug(text)]!r}")
            )
        else:
            values[key or slug(text)] = text
    if not pairs:
        wrong.append(((slot,), "no values; the template expands to nothing"))
    return values, wrong


def _check(prompts: list[dict[str, Any]]) -> None:
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    seen: dict[str, str] = {}
    for prompt in prompts:
        at, key, text = prompt.pop("at", ()), prompt["id"], prompt["text"]
        if not isinstance(key, str) or not ID.fullmatch(key):
            wrong.append((at, f"id {shown(key)} must match [a-z0-9][a-z0-9._-]{{0,63}}"))
        elif key.lower() in seen:
            wrong.append(
                (at, f"duplicate prompt id {key!r}: {shown(seen[key.lower()])} and {shown(text)}")
            )
        else:
            seen[key.lower()] = text
        if "\0" in text:
            wrong.append((at, f"prompt {key!r} holds a NUL character"))
        if not text.strip():
            wrong.append((at, f"prompt {key!r} is empty"))
    if wrong:
        raise Wrong(*wrong)


def _published(name: str) -> Path:
    known = {path.stem: path for path in SETS.glob("*.yaml")}
    if name not in known:
        raise Wrong((("set",), unknown("prompt set", name, known)))
    return known[name]


def _beside(name: str, folder: Path) -> Path:
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", name):
        raise Wrong((("file",), f"{name!r} is a URL; a spec reads local files only"), refused=True)
    if "\0" in name or not name:
        raise Wrong((("file",), f"{name!r} is not a path"))
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Wrong((("file",), f"{name!r} leaves the folder of the spec"), refused=True)
    if path.suffix.lower() not in SUFFIXES:
        raise Wrong((("file",), f"{name!r} is not a {', '.join(SUFFIXES)} file"))
    if not path.is_file():
        raise Wrong((("file",), f"no such file: {name}"))
    return path


def _read(path: Path, key: str) -> Any:
    """Return a list of prompts, or a mapping with a template or with `prompts`."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml", ".json"}:
        document = read_file(path, path.name)
        if document.problems:
            raise Wrong(*(((key,), f"{p.mark}: {p.message}") for p in document.problems))
        content = document.value
        if isinstance(content, list) or (
            isinstance(content, Mapping) and {"template", "prompts"} & set(content)
        ):
            return content
        raise Wrong(
            (
                (key,),
                f"{path.name}: expected a list of prompts, or a mapping with `template` or `prompts`",
            )
        )
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as wrong:
        raise Wrong(((key,), f"{path.name}: cannot be read as text: {wrong}")) from wrong
    if suffix == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return list(_rows(text, path.name, key))


def _rows(text: str, name: str, key: str) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(text.splitlines())
    column = next((c for c in ("prompt", "text") if c in (reader.fieldnames or ())), None)
    if column is None:
        raise Wrong(
            (
                (key,),
                f"{name}: needs a column `prompt` (and may have `id`), has {json.dumps(reader.fieldnames)}",
            )
        )
    for row in reader:
        if not row[column]:
            raise Wrong(((key,), f"{name}:{reader.line_num}: the prompt is empty"))
        yield {"text": row[column]} | ({"id": row["id"]} if row.get("id") else {})
