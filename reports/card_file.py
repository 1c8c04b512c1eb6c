"""Where a model card holds what the suite writes: between markers, every other byte as it was.

A card has two such places for each benchmark: a list of results in the `model-index` of its front
matter, between two YAML comments, and a section of its text, between two HTML comments.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from audit.errors import InputError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FRONT_MATTER = re.compile(r"\A(\s*---[ \t]*\r?\n)(.*?\n)?(---[ \t]*(?:\r?\n|\Z))", re.DOTALL)
"""The block at the top, as the hub finds it."""
INDEX = "model-index"


@dataclass(frozen=True)
class Markers:
    """The two lines around what is written."""

    begin: str
    end: str

    @classmethod
    def of(cls, benchmark: str, pattern: str) -> "Markers":
        """Return the markers of a benchmark; `{}` in the pattern is what they say."""
        said = (f"bias-audit: {side} {benchmark}" for side in ("begin", "end"))
        return cls(*(pattern.replace("{}", words) for words in said))

    def __str__(self) -> str:
        return f"`{self.begin}` and `{self.end}`"


def put(
    card: str,
    benchmark: str,
    *,
    results: Sequence[object],
    model: str,
    section: str,
    insert: bool = False,
    name: str = "README.md",
) -> str:
    """Return a card with the results and the section of a benchmark in their places.

    Args:
        card: Its text; empty for a new one.
        benchmark: Its name is part of the markers, so that benchmarks do not overwrite each other.
        results: Items of `model-index`: what YAML can hold.
        model: Name of the model, for a card without a `model-index`.
        section: Markdown.
        insert: Whether markers, and front matter, are added where there are none.
        name: What messages call the card.

    Raises:
        InputError: there are no markers and none shall be added, they are not a pair, or the front
            matter is no YAML that results can be added to.
    """
    in_index = Markers.of(benchmark, "# {}")
    in_text = Markers.of(benchmark, "<!-- {} -->")
    items = yaml.safe_dump(list(results), sort_keys=False, allow_unicode=True, width=10**9)
    found = FRONT_MATTER.match(card)
    if found is None and not insert:
        raise InputError(
            f"{name}: has no front matter, the block between two lines of --- at its top;"
            " --insert writes one"
        )
    newline = "\r\n" if "\r\n" in card else "\n"
    first, front, last = found.groups("") if found else (f"---{newline}", "", f"---{newline}")
    text = card[found.end() :] if found else f"{newline}{card}" if card else ""
    where = f"{name}: front matter"
    _mapping(front, where)
    new = _replaced(front, in_index, items.splitlines(), where)
    if new is None:
        _allow(insert, in_index, where)
        new = _added(front, in_index, items.splitlines(), model, newline, where)
    _mapping(new, where)
    body = _replaced(text, in_text, section.splitlines(), name)
    if body is None:
        _allow(insert, in_text, name)
        lines = [in_text.begin, *section.splitlines(), in_text.end, ""]
        ended = text if not text or text.endswith("\n") else text + newline
        body = ended + newline + newline.join(lines)
    return first + new + last + body


def _allow(insert: bool, markers: Markers, where: str) -> None:
    if not insert:
        raise InputError(
            f"{where}: has no lines {markers} to write between; --insert puts them there"
        )


def _replaced(text: str, markers: Markers, content: Sequence[str], where: str) -> str | None:
    """Return a text with new lines between its markers; None where it has none."""
    lines = text.split("\n")
    begins = [i for i, line in enumerate(lines) if line.strip() == markers.begin]
    ends = [i for i, line in enumerate(lines) if line.strip() == markers.end]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise InputError(
            f"{where}: {markers} must stand once each, in this order; found on lines"
            f" {_numbers(begins)} and {_numbers(ends)} of it"
        )
    first, last = begins[0], ends[0]
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    close = "\r" if lines[first].endswith("\r") else ""
    written = [f"{indent if line else ''}{line}{close}" for line in content]
    return "\n".join([*lines[: first + 1], *written, *lines[last:]])


def _numbers(places: Sequence[int]) -> str:
    return ", ".join(str(place + 1) for place in places) or "none"


def _added(
    front: str, markers: Markers, items: Sequence[str], model: str, newline: str, where: str
) -> str:
    """Return front matter with results before those that it has, or at its end."""
    at = _first_result(front, where)
    lines = front.split("\n")
    if at is None:
        quoted = yaml.safe_dump(model, allow_unicode=True, width=10**9).removesuffix("...\n")
        head = [f"{INDEX}:", f"- name: {quoted.strip()}", "  results:"]
        place, column = len(lines) - 1, 2
    else:
        head, (place, column) = [], at
    indent, close = " " * column, newline.removesuffix("\n")
    written = [*head, *(indent + line for line in (markers.begin, *items, markers.end))]
    return "\n".join([*lines[:place], *(line + close for line in written), *lines[place:]])


def _first_result(front: str, where: str) -> tuple[int, int] | None:
    """Return line and column, from 0, where a first result belongs; None without a model-index.

    That is the line below `results:`, above all comments, for these may be markers.
    """
    root = yaml.compose(front, Loader=LOADER)
    _, index = _entry(root, INDEX)
    if index is None:
        return None
    models = index.value if isinstance(index, yaml.SequenceNode) else []
    key, results = _entry(models[0], "results") if models else (None, None)
    block = isinstance(results, yaml.SequenceNode) and not results.flow_style
    if key is None or results is None or not block or not results.value:
        raise InputError(
            f"{where}: line {index.start_mark.line + 2}: {INDEX} is not a list of models whose"
            " first has `results`, one `- ` a line; nothing can be added to it"
        )
    line: str = front.split("\n")[results.value[0].start_mark.line]
    return key.end_mark.line + 1, line.index("-")


def _entry(node: Any, key: str) -> tuple[Any, Any]:
    """Return the nodes of a key of a mapping and of its value; None and None where it has none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((name, value) for name, value in pairs if name.value == key), (None, None))


def _mapping(front: str, where: str) -> None:
    """Refuse front matter that is not YAML, or not keys with values."""
    try:
        node = yaml.compose(front, Loader=LOADER)
    except (yaml.YAMLError, RecursionError) as wrong:
        mark = getattr(wrong, "problem_mark", None)
        line = f"line {mark.line + 2}: " if mark else ""
        said = getattr(wrong, "problem", None) or "not YAML"
        raise InputError(f"{where}: {line}is not YAML: {said}") from None
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise InputError(f"{where}: is not a list of keys with values")
