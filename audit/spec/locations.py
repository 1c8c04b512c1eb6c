"""Where a gate stands in a spec file: what code scanning and annotations point at."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.spec.assembly import assemble
from audit.spec.document import Document, Mark, Where
from audit.storage.results import GateEntry


def gate_marks(
    gates: Sequence[GateEntry], benchmark: str, specs: Sequence[Path], root: Path
) -> dict[str, Mark]:
    """Return by gate id where its limit is written; a gate that no spec holds has no entry.

    Args:
        gates: As the results hold them.
        benchmark: Name of their benchmark.
        specs: Spec files, the one that people edit first; one that cannot be read is passed over.
        root: Folder that the marks' file names shall start from.
    """
    found: dict[str, Mark] = {}
    for path in specs:
        if not path.is_file():
            continue
        document, _ = assemble(path)
        for gate in gates:
            mark = next(_marks(gate, benchmark, document), None)
            file = _file(mark, path) if mark and gate.id not in found else None
            if mark and file:
                name = Path(os.path.relpath(file, root)).as_posix()
                found[gate.id] = Mark(name, mark.line, mark.column)
    return found


def _marks(gate: GateEntry, benchmark: str, document: Document) -> Iterator[Mark]:
    where: Where = ("benchmarks", benchmark, "gates")
    written: Any = document.value
    for step in where:
        written = written.get(step) if isinstance(written, Mapping) else None
    for i, one in enumerate(written if isinstance(written, list) else ()):
        if isinstance(one, Mapping) and _means(one, gate):
            yield document.key_mark((*where, i, gate.side))


def _means(written: Mapping[str, Any], gate: GateEntry) -> bool:
    """Say whether a written gate came to this one; what it leaves open fits everything."""
    exact = {"attribute": gate.attribute, "prompt": gate.prompt, gate.side: gate.limit}
    open_ = {"arm": gate.arm, "class": gate.class_, "probe": gate.probe}
    return (
        written.get("metric") in (gate.metric, gate.metric.partition("@")[0])
        and all(written.get(key) == value for key, value in exact.items())
        and all(written.get(key) in (None, value) for key, value in open_.items())
    )


def _file(mark: Mark, path: Path) -> Path | None:
    """Return the file of a mark: the spec itself, or one that it includes."""
    file = path if mark.file == str(path) else path.parent / mark.file
    return file if file.is_file() else None
