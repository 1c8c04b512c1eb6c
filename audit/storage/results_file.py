"""`results.json` on disk: written whole, checked when it is read, described by a JSON Schema."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from audit.errors import InputError
from audit.redaction import redacted
from audit.storage import atomic
from audit.storage.results import SCHEMA_VERSION, Results

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")
"""JSON Schema 2020-12 of what is written; this module, run, writes it anew."""
DIGEST = "sha256"


def dumps(results: Results) -> str:
    """Write results as JSON: sorted keys, no NaN, an entry a line; the same in, the same bytes.

    The digest of all else stands among the entries, so that a number that was changed afterwards,
    by hand or by a disk, is not believed. Whoever means to forge can write a digest as well.
    """
    plain = redacted(results.model_dump(mode="json", by_alias=True))
    return _text(plain | {DIGEST: _digest(plain)})


def _text(plain: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)

    sections = []
    for key, value in sorted(plain.items()):
        several = isinstance(value, list) and value
        rows = "[\n" + ",\n".join(map(text, value)) + "\n]" if several else text(value)
        sections.append(f"{text(key)}: {rows}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _digest(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(plain).encode()).hexdigest()


def write(path: Path, results: Results) -> None:
    """Write `results.json` whole: a reader finds the old file or the new one, never a half."""
    atomic.write(path, dumps(results))


def read(path: Path) -> Results:
    """Read and check `results.json`.

    Raises:
        InputError: it is missing, no JSON, or does not fit the schema; says where first.
    """
    try:
        text = path.read_text("utf-8")
        plain = json.loads(text, parse_constant=_refuse)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; `bias-audit measure` writes it"
        ) from None
    except ValueError as wrong:
        raise InputError(f"{path}: not a JSON document: {wrong}") from None
    return parse(plain, str(path))


def parse(plain: Any, where: str = "results.json") -> Results:
    """Return the results in a plain JSON value.

    Raises:
        InputError: it does not fit the schema, was written by a later major version, or was
            changed after it was written.
    """
    version = plain.get("schema_version") if isinstance(plain, Mapping) else None
    if not isinstance(version, str):
        raise InputError(f"{where}: no results of bias-audit: schema_version is missing")
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise InputError(f"{where}: schema_version {version}; this suite reads {SCHEMA_VERSION}")
    digest = plain.get(DIGEST)
    plain = {key: value for key, value in plain.items() if key != DIGEST}
    if digest is not None and digest != _digest(plain):
        raise InputError(
            f"{where}: was changed after it was written: its {DIGEST} is of other numbers;"
            " `bias-audit measure` computes them anew"
        )
    try:
        return Results.model_validate(plain)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
        more = f" (and {len(others)} more misfits)" if others else ""
        raise InputError(
            f"{where}: {place.removeprefix('.')}: {first['msg']}, got {first['input']!r}{more}"
        ) from None


def schema() -> dict[str, Any]:
    """Return the JSON Schema 2020-12 of `results.json`."""
    found = Results.model_json_schema(mode="serialization", by_alias=True)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Results of bias-audit",
    }
    found["properties"][DIGEST] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "Of the document without this entry, as it is written.",
    }
    return found | head


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that JSON knows")


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n", "utf-8")
