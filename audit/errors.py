"""What a user can fix: one exception for each documented exit status."""

from collections.abc import Iterable
from difflib import get_close_matches


class AuditError(Exception):
    """Something a user can fix; the message is one sentence that says what and how.

    The command line prints it as `error: …` without a traceback and exits with `status`.
    """

    status = 70


class SpecError(AuditError):
    """The usage, the spec or an option is wrong; nothing was run."""

    status = 2


class InputError(AuditError):
    """An input or artefact is corrupt, or does not fit what it is used with."""

    status = 3


class IncompleteError(AuditError):
    """The run ended with too much missing to be called an audit."""

    status = 4


class ResourceError(AuditError):
    """The environment lacks something: a package, weights, memory, disk, a lock."""

    status = 5


class RefusedError(AuditError):
    """Refused for safety: pickled weights, remote code, a path that escapes, a remote URL."""

    status = 6


def nearest(name: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """Return the known name that is most like a name, whatever the case; None where none is.

    >>> nearest("ARM", ["arm", "probe"]), nearest("image", ["age", "seed"], alike=0.8)
    ('arm', None)
    """
    plain = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), plain, n=1, cutoff=alike)
    return plain[near[0]] if near else None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no known `kind`, and offer the nearest name that is.

    >>> unknown("probe", "dlb", ["dlib", "clip"])
    "unknown probe 'dlb'; did you mean 'dlib'? (known: clip, dlib)"
    """
    known = sorted(known)
    near = nearest(name, known)
    hint = f"; did you mean {near!r}?" if near else ""
    there = f"known: {', '.join(known)}" if known else "there is none"
    return f"unknown {kind} {name!r}{hint} ({there})"
