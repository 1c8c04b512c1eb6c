"""A spec file with the files that it includes and the values set on the command line."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audit.errors import SpecError, unknown
from audit.spec.document import KEY, Document, Mark, Problem, Where, read_file, read_text

SECTIONS = ("models", "features", "benchmarks")
TOP = ("version", "default", *SECTIONS)
STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def assemble(path: Path, overrides: Iterable[str] = ()) -> tuple[Document, dict[str, Any]]:
    """Read a spec file and all that belongs to it.

    Returns:
        The document, its mistakes noted, and what the overrides set, by path.

    Raises:
        SpecError: an override cannot be understood.
    """
    document = read_file(path, str(path))
    if isinstance(document.value, Mapping) and "include" in document.value:
        _include(document, path.resolve(), (path.resolve(),), path.resolve().parent)
    changed = {}
    for override in overrides:
        where, value = _override(document, override)
        changed[where] = value
    return document, changed


def _include(document: Document, path: Path, chain: tuple[Path, ...], base: Path) -> None:
    """Add the sections of the included files; what is defined twice is a mistake."""
    written = document.value.pop("include")
    for i, name in enumerate(written if isinstance(written, list) else [written]):
        where: Where = ("include", i) if isinstance(written, list) else ("include",)
        mark = document.mark(where)
        if not isinstance(name, str) or not name:
            document.report(mark, where, "expected the name of a file beside this one")
            continue
        target = (path.parent / name).resolve()
        if "://" in name or not target.is_relative_to(base):
            document.problems.append(
                Problem(mark, where, f"{name!r} leaves the folder of the spec", refused=True)
            )
            continue
        if target in chain:
            names = " -> ".join(p.name for p in (*chain[chain.index(target) :], target))
            document.report(mark, where, f"include cycle: {names}")
            continue
        child = read_file(target, name)
        if isinstance(child.value, Mapping) and "include" in child.value:
            _include(child, target, (*chain, target), base)
        document.problems += child.problems
        _merge(document, child, mark, where)


def _merge(document: Document, child: Document, mark: Mark, where: Where) -> None:
    if not isinstance(child.value, Mapping):
        if not child.problems:
            document.report(mark, where, f"{child.name} holds no mapping")
        return
    for section, entries in child.value.items():
        if section not in SECTIONS or not isinstance(entries, Mapping):
            if section != "version":
                at = child.key_mark((section,))
                document.report(
                    at, (section,), f"an included file holds {', '.join(SECTIONS)} only"
                )
            continue
        own = document.value.setdefault(section, {})
        if not isinstance(own, dict):
            continue
        for name, entry in entries.items():
            if name in own:
                first = document.key_mark((section, name))
                at = child.key_mark((section, name))
                document.report(at, (section, name), f"is defined already, at {first}")
                continue
            own[name] = entry
            marks = {k: v for k, v in child.marks.items() if k[:2] == (section, name)}
            document.marks |= marks


def _override(document: Document, override: str) -> tuple[str, Any]:
    """Apply `path=value`; the value is typed as YAML would type it."""
    path, equals, text = override.partition("=")
    label = f"--set {override}"
    steps: list[str | int] = [name or int(index) for name, index in STEP.findall(path)]
    if not equals or not steps or STEP.sub("", path).strip("."):
        raise SpecError(f"{label}: expected path=value, such as portraits.images=64")
    read = read_text(text, label)
    if read.problems:
        raise SpecError(f"{label}: {read.problems[0].message if text else 'no value after ='}")
    _check_benchmark(document.value, steps, label)
    where = _place(document.value, steps)
    if where and _assign(document.value, where, read.value):
        document.marks = {k: v for k, v in document.marks.items() if k[: len(where)] != where}
        document.marks |= {(*where, *k): Mark(label) for k in read.marks}
        document.marks[*where, KEY] = Mark(label)
    elif document.value is not None:
        raise SpecError(f"{label}: there is no {path!r} in the spec")
    return path, read.value


def _check_benchmark(value: Any, steps: list[str | int], label: str) -> None:
    """Refuse to set a part of a benchmark that is not there; a whole one may be added."""
    benchmarks = value.get("benchmarks") if isinstance(value, Mapping) else None
    if not isinstance(benchmarks, Mapping) or steps[0] in value or steps[0] in TOP:
        return
    starts = {".".join(map(str, steps[:n])) for n in range(1, len(steps) + 1)}
    if len(steps) > 1 and not starts & benchmarks.keys():
        raise SpecError(f"{label}: {unknown('benchmark', str(steps[0]), benchmarks)}")


def _place(value: Any, steps: list[str | int]) -> Where:
    """Return the path that is meant: it may start at a benchmark, and names may hold dots."""
    where: list[str | int] = []
    if isinstance(value, Mapping) and steps[0] not in value and steps[0] not in TOP:
        value, where = value.get("benchmarks"), ["benchmarks"]
    while steps:
        taken = 1
        if isinstance(value, Mapping):
            fits = [n for n in range(1, len(steps) + 1) if ".".join(map(str, steps[:n])) in value]
            taken = max(fits, default=1)
        step = ".".join(map(str, steps[:taken])) if taken > 1 else steps[0]
        value, steps = _child(value, step), steps[taken:]
        where.append(step)
    return tuple(where)


def _assign(value: Any, where: Where, new: Any) -> bool:
    """Put a value in its place, making mappings on the way; False where there is no such place."""
    *way, last = where
    for step in way:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.setdefault(step, {})
        else:
            value = _child(value, step)
    if isinstance(value, dict) and isinstance(last, str):
        value[last] = new
        return True
    if isinstance(value, list) and isinstance(last, int) and last < len(value):
        value[last] = new
        return True
    return False


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
