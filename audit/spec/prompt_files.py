"""Prompts from a file beside the spec, or from a published set that ships with the suite."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.errors import unknown
from audit.spec.document import read_file
from audit.spec.schema import FieldError, shown

SETS = Path(__file__).with_name("prompt_sets")
SUFFIXES = (".yaml", ".yml", ".json", ".csv", ".txt")
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:/")


def read_prompts(key: str, name: Any, folder: Path) -> tuple[list[Any], str | None]:
    """Return what a file lists, and its template if it has one.

    A YAML or JSON file is a list, or a mapping with `prompts` and perhaps `template`, `source` and
    `licence`; a CSV file has a column `prompt` and may have `id`; a text file is a prompt a line.

    Args:
        key: `file`, for a path below `folder`, or `set`.
        name: As written in the spec.
        folder: Of the spec.

    Raises:
        FieldError: there is no such file, or it cannot be read; refused where it is a URL or lies
            outside of the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise FieldError(((key,), f"expected text, got {shown(name)}"))
    path = _published(name) if key == "set" else _beside(name, folder)
    try:
        if path.suffix.lower() in {".csv", ".txt"}:
            return _lines(path), None
        return _structured(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as wrong:
        raise FieldError(((key,), f"{path.name}: {wrong}")) from wrong


def _published(name: str) -> Path:
    known = {path.stem: path for path in SETS.glob("*.yaml")}
    if name not in known:
        raise FieldError((("set",), unknown("prompt set", name, known)))
    return known[name]


def _beside(name: str, folder: Path) -> Path:
    path = (folder / name).resolve()
    if URL.match(name) or not path.is_relative_to(folder.resolve()):
        raise FieldError(
            (("file",), f"{name!r} is not below the folder of the spec"), refused=True
        )
    if path.suffix.lower() not in SUFFIXES:
        raise FieldError((("file",), f"{name!r} must be one of {', '.join(SUFFIXES)}"))
    if not path.is_file():
        raise FieldError((("file",), f"no such file: {name}"))
    return path


def _structured(path: Path) -> tuple[list[Any], str | None]:
    document = read_file(path, path.name)
    if document.problems:
        first = document.problems[0]
        raise ValueError(f"line {first.mark.line}: {first.message}")
    content = document.value
    if isinstance(content, list):
        return content, None
    if not isinstance(content, Mapping) or not isinstance(content.get("prompts"), list):
        raise ValueError("expected a list of prompts, or a mapping with `prompts`")
    template = content.get("template")
    if not isinstance(template, str | None):
        raise ValueError(f"`template` must be text, is {shown(template)}")
    return list(content["prompts"]), template


def _lines(path: Path) -> list[Any]:
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".txt":
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
    rows = csv.DictReader(text.splitlines(), strict=True)
    if "prompt" not in (rows.fieldnames or ()):
        raise ValueError(f"needs a column `prompt`, has {', '.join(rows.fieldnames or ['none'])}")
    return [
        {"text": row["prompt"] or ""} | ({"id": row["id"]} if row.get("id") else {})
        for row in rows
    ]
