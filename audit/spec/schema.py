"""Strict models over documents: every mistake in one pass, as `file:line:col: path: problem`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from audit.errors import RefusedError, SpecError, unknown
from audit.spec.document import Document, Problem, Unreadable, Where

MAX_PROBLEMS = 50
EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "mapping",
    "float_type": "number",
    "int_type": "int",
    "model_type": "mapping",
    "string_type": "text",
    "tuple_type": "list",
}
"""What a type is called in a message, by pydantic's name of the mistake."""


class Strict(BaseModel):
    """Takes the very types it declares and no other key."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=Strict)


Mistake = tuple[Where, str]
"""Where, below the value that a rule looks at, and what is wrong."""
PARENT = ".."
"""In the path of a mistake: one level up."""


class FieldError(ValueError):
    """Raised by a validator: one or more mistakes at or below the value that it looks at."""

    def __init__(self, *found: str | Mistake, refused: bool = False) -> None:
        self.found = [((), f) if isinstance(f, str) else f for f in found]
        self.refused = refused
        super().__init__("; ".join(message for _, message in self.found))


def check(model: type[M], document: Document, context: Mapping[str, Any]) -> M:
    """Return the model of a document.

    Args:
        model: The outermost strict model.
        document: What was read; its own mistakes are reported with those found here.
        context: What validators may look up.

    Raises:
        SpecError: every mistake, a line each.
        RefusedError: the same, when one of them is refused for safety.
    """
    result: M | None = None
    problems = list(document.problems)
    if not (document.value is None and problems):
        try:
            result = model.model_validate(document.value, context=dict(context))
        except ValidationError as error:
            reported = {problem.where for problem in problems}
            problems += [p for p in _problems(error, model, document) if p.where not in reported]
    if problems or result is None:
        complain(problems)
    return result


def together(handler: Callable[[Any], Any], value: Any, found: Iterable[Mistake]) -> Any:
    """Validate a value and report the mistakes of a rule beside its own.

    A validator that follows another runs only where that one is content, and would hide its
    mistakes until the first are mended.

    Args:
        handler: Validates the value.
        value: As written.
        found: Mistakes, with paths from the value on.
    """
    line_errors: list[Any] = []
    result = None
    try:
        result = handler(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        line_errors += [{k: v for k, v in d.items() if k != "msg"} for d in details]
    if wrong := list(found):
        context = {"error": FieldError(*wrong)}
        line_errors.append({"type": "value_error", "loc": (), "input": value, "ctx": context})
    if line_errors:
        raise ValidationError.from_exception_data("together", line_errors)
    return result


def complain(problems: Iterable[Problem]) -> NoReturn:
    """Raise every mistake as one error, in the order of the file.

    Raises:
        SpecError: always, unless
        RefusedError: one of the mistakes is refused for safety.
    """
    ordered = sorted(set(problems), key=lambda p: (p.mark.file, p.mark.line, p.mark.column))
    lines = [_line(problem) for problem in ordered[:MAX_PROBLEMS]]
    if len(ordered) > MAX_PROBLEMS:
        lines.append(f"and {len(ordered) - MAX_PROBLEMS} more")
    kind = RefusedError if any(problem.refused for problem in ordered) else SpecError
    raise kind("\n".join(lines))


def dotted(where: Where) -> str:
    """Write a path as users do.

    >>> dotted(("benchmarks", "occupations", "probes", 0))
    'occupations.probes[0]'
    """
    parts = where[1:] if where[:1] == ("benchmarks",) and len(where) > 1 else where
    joined = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return joined.removeprefix(".")


def _line(problem: Problem) -> str:
    where = dotted(problem.where)
    return f"{problem.mark}: {where + ': ' if where else ''}{problem.message}"


def _problems(
    error: ValidationError, model: type[BaseModel], document: Document
) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        where = tuple(detail["loc"])
        if isinstance(detail.get("input"), Unreadable):
            continue
        if detail["type"] == "extra_forbidden":
            *parent, key = where
            known = _keys(model.model_json_schema(), tuple(parent))
            mark = document.key_mark(where)
            yield Problem(mark, tuple(parent), unknown("key", str(key), known))
            continue
        wrong = detail.get("ctx", {}).get("error")
        if isinstance(wrong, FieldError):
            for below, message in wrong.found:
                place = where
                for part in below:
                    place = place[:-1] if part == PARENT else (*place, part)
                yield Problem(document.mark(place), place, message, wrong.refused)
            continue
        if detail["type"] == "missing":
            *parent, key = where
            yield Problem(document.mark(where), tuple(parent), f"key {key!r} is missing")
            continue
        yield Problem(document.mark(where), where, _sentence(detail))


def _sentence(detail: Mapping[str, Any]) -> str:
    wanted = EXPECTED.get(detail["type"]) or re.sub(r"^Input should (be )?", "", detail["msg"])
    return f"expected {wanted}, got {shown(detail['input'])}"


def shown(value: object) -> str:
    """Return a short, harmless picture of a value; a mapping or a list is only named."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _keys(schema: Mapping[str, Any], where: Where) -> list[str]:
    """Return the keys that a JSON Schema allows at a path."""
    node: Any = schema
    for part in where:
        node = _resolved(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, node.get("additionalProperties", {}))
    return sorted(_resolved(schema, node).get("properties", {}))


def _resolved(schema: Mapping[str, Any], node: Any) -> Any:
    while isinstance(node, Mapping) and ("$ref" in node or "anyOf" in node):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        else:
            node = next((n for n in node["anyOf"] if n.get("type") != "null"), {})
    return node if isinstance(node, Mapping) else {}
