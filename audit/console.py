"""How the command line speaks: data on standard output, everything else on standard error."""

import json
import logging
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from audit.redaction import redacted

EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""


@dataclass
class Bar:
    """How far a stage is."""

    stage: str
    total: int
    done: int = 0
    cached: int = 0
    failed: int = 0
    start: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """Return done and total, rate and time left."""
        passed = time.monotonic() - self.start
        rate = (self.done - self.cached) / passed if passed else 0.0
        parts = [f"{self.stage} {self.done}/{self.total}"]
        parts += [f"{self.cached} cached"] if self.cached else []
        parts += [f"{self.failed} failed"] if self.failed else []
        if rate and self.done < self.total:
            parts += [f"{rate:.1f}/s", f"{duration((self.total - self.done) / rate)} left"]
        return ", ".join(parts)


class Console:
    """Writes for people, or with `json` one object for programs."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self._bar = Bar("", 0)
        self._live = False
        self._told: dict[str, list[Any]] = {}

    def data(self, lines: Iterable[str], plain: Mapping[str, Any]) -> None:
        """Write the result of a command: `lines` for people, `plain` for programs."""
        self._end_live()
        if self.as_json:
            whole = redacted({**plain, **self._told})
            _write(sys.stdout, json.dumps(whole, allow_nan=False, ensure_ascii=True) + "\n")
        else:
            _write(sys.stdout, "".join(_inert(line) + "\n" for line in redacted(list(lines))))

    def one_of(self, key: str, lines: Iterable[str], plain: Mapping[str, Any]) -> None:
        """Write one of several results: people have it at once, programs at the end, under `key`.

        The end may be an error or an interruption: what came before it is told all the same.
        """
        if self.as_json:
            self._told.setdefault(key, []).append(plain)
        else:
            self.data(lines, {})

    def note(self, text: str) -> None:
        """Say something on the way."""
        if not self.quiet:
            self._end_live()
            _write(sys.stderr, _inert(redacted(text)) + "\n")

    def command(self, line: str) -> None:
        """Give CI a command, which it reads from either stream; standard output is for data."""
        self._end_live()
        _write(sys.stderr, _inert(redacted(line)) + "\n")

    def error(self, message: str, status: int) -> None:
        """Say what is wrong; the command ends with it."""
        self.complain(message)
        self._end(status)

    def interrupted(self, status: int) -> None:
        """Say that the command was stopped, and how it goes on."""
        said = "interrupted; the same command goes on where this one stopped"
        self.note(said)
        self._told.setdefault("errors", []).append(said)
        self._end(status)

    def complain(self, message: str) -> None:
        """Say what is wrong, a line each; indented lines belong to the line above.

        Programs are told at the end, under `errors`.
        """
        self._end_live()
        lines = redacted(message).split("\n")
        for line in lines:
            prefix = "" if line.startswith("  ") else "error: "
            _write(sys.stderr, prefix + _inert(line) + "\n")
        self._told.setdefault("errors", []).extend(lines)

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of a run."""
        self._end_live()
        self._bar = Bar(stage, total)

    def advance(self, done: int, *, cached: int = 0, failed: int = 0) -> None:
        """Count items; a live line on a terminal, now and then a plain one elsewhere."""
        bar = self._bar
        bar.done += done
        bar.cached += cached
        bar.failed += failed
        over = bar.done >= bar.total
        if self.quiet or not bar.total:
            return
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            _write(sys.stderr, f"\r{bar.text():<78}")
            self._live = True
            if over:
                self._end_live()
        elif over or time.monotonic() - bar.said >= EVERY:
            bar.said = time.monotonic()
            _write(sys.stderr, bar.text() + "\n")

    def say(self, message: str) -> None:
        """Pass on what a run has to say."""
        self.note(message)

    def _end(self, status: int) -> None:
        """Tell programs of an early end, with all that came before it."""
        if self.as_json:
            self.data((), {"status": status})

    def _end_live(self) -> None:
        if self._live:
            self._live = False
            _write(sys.stderr, "\n")


class LogFormatter(logging.Formatter):
    """Writes log records as the console writes: no secrets, and nothing that a terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record, that of an exception among them."""
        return "\n".join(map(_inert, redacted(super().format(record)).split("\n")))


def console(ctx: Any) -> Console:
    """Return the console of a command's context; one that says all, where there is none yet."""
    found = ctx.find_root().obj
    return found if isinstance(found, Console) else Console()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the columns of rows, the first of which is the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Write a number of bytes as people say it.

    >>> size(12_300_000)
    '12.3 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _inert(text: str) -> str:
    """Show control, bidirectional and zero-width characters as escapes; a terminal obeys none."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1] for c in text
    )


def unread(stream: IO[str]) -> None:
    """Drop what is yet written to a stream whose reader went away.

    The interpreter flushes its streams as it exits, and would complain.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write(stream: IO[str], text: str) -> None:
    """Write at once; that nobody reads on, as with `| head`, ends no run and changes no status."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        unread(stream)
