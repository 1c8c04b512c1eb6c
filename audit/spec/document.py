"""YAML read with guards: plain values, where each stands, YAML 1.1's surprises as errors."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 5_000_000
MAX_ALIASES = 1_000
MAX_DEPTH = 50
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
LOOKED_AHEAD = "exceeded maximum nesting depth"
"""What the parser says of its own limit, which it can meet before the first event is out."""
MAX_VALUES = 100_000
"""Aliases count as often as they are used, so that a bomb of them goes off early."""

Where = tuple[str | int, ...]
"""Path of a value: `("benchmarks", "portraits", "probes", 0)`."""

TAG = "tag:yaml.org,2002:"
NO_TAG = "tag {} is not allowed in a spec"
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
"""What people read as a number, of which YAML 1.1 takes some for text."""
MEANS = {
    "bool": "means true or false",
    "int": "is a number in another notation",
    "float": "is no finite number in plain notation",
    "timestamp": "is a date",
}


@dataclass(frozen=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake of the user: where, and one sentence."""

    mark: Mark
    where: Where
    message: str
    refused: bool = False
    """Refused for safety: the exit status is 6 instead of 2."""


class Unreadable:
    """Stands for a value that was already reported, so that it is not reported twice."""


@dataclass
class Document:
    """The values of a YAML file, the marks of its keys and values, and the mistakes found."""

    name: str
    value: Any = None
    marks: dict[Where, Mark] = field(default_factory=dict)
    """Of values; a key's own mark stands under `(*where, KEY)`."""
    problems: list[Problem] = field(default_factory=list)

    def mark(self, where: Where) -> Mark:
        """Return where a value stands, or the innermost value around it."""
        while where and where not in self.marks:
            where = where[:-1]
        return self.marks.get(where, Mark(self.name, 1, 1))

    def key_mark(self, where: Where) -> Mark:
        """Return where the key of a value stands."""
        return self.marks.get((*where, KEY)) or self.mark(where)

    def report(self, mark: Mark, where: Where, message: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(mark, where, message))


KEY = "\0key"
"""Last part of the path under which `Document.marks` holds the mark of a key."""


def read_file(path: Path, name: str) -> Document:
    """Read a YAML file; `name` is what messages call it."""
    document = Document(name)
    start = Mark(name)
    try:
        if path.stat().st_size > MAX_BYTES:
            document.report(start, (), f"the file is larger than {MAX_BYTES // 10**6} MB")
            return document
        return read_text(path.read_bytes().decode("utf-8-sig"), name)
    except FileNotFoundError:
        document.report(start, (), "no such file; `bias-audit init` writes a commented starter")
    except IsADirectoryError:
        document.report(start, (), "is a folder, not a YAML file")
    except UnicodeDecodeError as wrong:
        document.report(start, (), f"is not UTF-8 text (byte {wrong.start})")
    except (OSError, ValueError) as wrong:
        document.report(start, (), f"cannot be read: {getattr(wrong, 'strerror', None) or wrong}")
    return document


def read_text(text: str, name: str) -> Document:
    """Read YAML text: one document of mappings, lists and unambiguous scalars."""
    document = Document(name)
    try:
        trouble = next(_guard(text), None)
        if trouble:
            line, column, message = trouble
            document.report(Mark(name, line, column), (), message)
            return document
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as wrong:
        document.report(*_syntax(wrong, text, name))
        return document
    if node is None or node.tag == TAG + "null":
        document.report(
            Mark(name, 1, 1), (), "spec is empty; `bias-audit init` writes a commented starter"
        )
        return document
    document.value = _Reader(document).value(node, ())
    return document


def _guard(text: str) -> Iterator[tuple[int, int, str]]:
    """Walk the events, which needs no recursion, and yield what is too much."""
    depth = documents = aliases = values = 0
    for event in yaml.parse(text, Loader=LOADER):
        mark: Any = event.start_mark
        at = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        values += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            yield *at, TOO_DEEP
        if documents > 1:
            yield *at, "holds several YAML documents; one file is one spec"
        if aliases > MAX_ALIASES:
            yield *at, f"more than {MAX_ALIASES} aliases"
        if values > MAX_VALUES:
            yield *at, f"more than {MAX_VALUES} values"


def _syntax(wrong: yaml.YAMLError, text: str, name: str) -> tuple[Mark, Where, str]:
    mark = getattr(wrong, "problem_mark", None)
    message = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "not YAML"
    if mark is None:
        return Mark(name), (), f"is not YAML: {message}"
    if message == LOOKED_AHEAD:
        return Mark(name, mark.line + 1, mark.column + 1), (), TOO_DEEP
    lines = text.splitlines()
    line = lines[mark.line].replace("\t", " ") if mark.line < len(lines) else ""
    shown = line.isprintable() and len(line) < 200
    caret = f"\n  {line}\n  {' ' * mark.column}^" if shown and line.strip() else ""
    at = lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
    hint = "; this is a tab, indent with spaces" if at == "\t" else ""
    return Mark(name, mark.line + 1, mark.column + 1), (), f"is not YAML: {message}{hint}{caret}"


class _Reader:
    """Turns nodes into values, noting marks and mistakes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0
        self.overflown = False

    def value(self, node: yaml.Node, where: Where) -> Any:
        """Return the plain value of a node, and note its place; mistakes are reported instead.

        An alias is read anew wherever it stands, so what a bomb expands to is counted here.

        Args:
            node: As the YAML library composes it.
            where: Its path from the top of the document.

        Returns:
            A dict, list or scalar; `Unreadable` in the place of what is refused.
        """
        mark = self._mark(node)
        self.document.marks[where] = mark
        self.values += 1
        if len(where) > MAX_DEPTH or self.values > MAX_VALUES:
            if not self.overflown:
                self.document.report(mark, where[:4], "aliases expand to too many values")
            self.overflown = True
        if self.overflown:
            return Unreadable()
        if not node.tag.startswith(TAG):
            return self._bad(node, where, NO_TAG.format(node.tag))
        if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
            return [self.value(child, (*where, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, where)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, where)
        return self._bad(node, where, NO_TAG.format(node.tag.replace(TAG, "!!")))

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            mark = self._mark(key_node)
            key = self.value(key_node, (*where, "?"))
            if isinstance(key, Unreadable):
                continue
            if not isinstance(key, str):
                self.document.report(mark, where, f"a key must be text, got {key!r}; quote it")
                continue
            if key in lines:
                self.document.report(
                    mark, where, f"duplicate key {key!r}, first on line {lines[key]}"
                )
            lines.setdefault(key, mark.line)
            self.document.marks[*where, key, KEY] = mark
            result[key] = self.value(value_node, (*where, key))
        return result

    def _scalar(self, node: yaml.ScalarNode, where: Where) -> Any:
        text, kind = node.value, _short(node.tag)
        if kind == "str" and (node.style or not NUMBER.fullmatch(text)):
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind == "int" and INTEGER.fullmatch(text) and len(text) < 20:
            return int(text)
        if kind == "float" and FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if kind == "str":
            message = f"{text} is text in YAML 1.1; write {float(text):g}, or quote it"
        elif kind in {"bool", "int", "float", "timestamp"}:
            message = f"{text} {MEANS[kind]} in YAML 1.1; write it plainly, or quote it: '{text}'"
        else:
            message = NO_TAG.format(node.tag.replace(TAG, "!!"))
        return self._bad(node, where, message)

    def _bad(self, node: yaml.Node, where: Where, message: str) -> Unreadable:
        self.document.report(self._mark(node), where, message)
        return Unreadable()

    def _mark(self, node: yaml.Node) -> Mark:
        at = node.start_mark
        return Mark(self.document.name, at.line + 1, at.column + 1)


def _short(tag: str) -> str:
    return tag.removeprefix(TAG)
