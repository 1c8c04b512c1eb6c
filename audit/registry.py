"""Plugins by entry point: built-ins and third parties come through the same door."""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from audit.errors import ResourceError, SpecError, unknown

KINDS = ("models", "probes", "metrics", "mitigations", "rankings", "encoders")


@cache
def plugins(kind: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of group `audit.<kind>`, by name; nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=f"audit.{kind}")}


def find(kind: str, name: str) -> Any:
    """Import and return the plugin `name` of a kind; `module:object` needs no registration.

    Raises:
        SpecError: there is no such plugin.
        ResourceError: a package that the plugin needs is not installed.
    """
    known = plugins(kind)
    try:
        if name in known:
            return known[name].load()
        if ":" in name:
            module, _, attribute = name.partition(":")
            return getattr(importlib.import_module(module), attribute)
    except ImportError as missing:
        raise ResourceError(
            f"{kind.removesuffix('s')} {name!r} needs a package that is not installed: {missing}"
        ) from missing
    except AttributeError as missing:
        raise SpecError(f"{kind.removesuffix('s')} {name!r}: {missing}") from missing
    raise SpecError(unknown(kind.removesuffix("s"), name, known))


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of a factory: what a spec may set."""

    required: bool
    annotation: str = ""
    """As written in the source."""


def options(factory: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a factory."""
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: Option(p.default is p.empty) for p in parameters if p.kind is p.KEYWORD_ONLY}


@cache
def _definition(kind: str, name: str) -> ast.FunctionDef | ast.Assign | None:
    """Return a plugin as its source defines it, without running it: a factory, or a constant.

    A plugin may import torch, which takes seconds; to check a spec or to list names should not.
    None where the source shows neither.
    """
    entry = plugins(kind).get(name)
    if entry is None:
        return None
    try:
        found = importlib.util.find_spec(entry.module)
        source = Path(found.origin).read_text("utf-8") if found and found.origin else ""
        body = ast.parse(source).body
    except (ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == entry.attr:
            return node
    return None


def declared(kind: str, name: str) -> Mapping[str, Option] | None:
    """Return the options that a plugin's source declares; None where only `build` can say."""
    node = _definition(kind, name)
    if not isinstance(node, ast.FunctionDef):
        return None
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return {
        a.arg: Option(default is None, ast.unparse(a.annotation) if a.annotation else "")
        for a, default in pairs
    }


def summary(kind: str, name: str) -> str:
    """Return the first line of a factory's docstring, or the source of a metric; else nothing."""
    node = _definition(kind, name)
    if isinstance(node, ast.FunctionDef):
        return (ast.get_docstring(node) or "").partition("\n")[0]
    given = node.value.keywords if node and isinstance(node.value, ast.Call) else []
    sources = (ast.literal_eval(option.value) for option in given if option.arg == "source")
    return str(next(sources, ""))


def mistakes(
    known: Mapping[str, Option], given: Mapping[str, Any], beside: Iterable[str] = ()
) -> dict[str, str]:
    """Say by option what is wrong: not known, of another type, or required and not given.

    Args:
        known: What a factory takes.
        given: What it would be given.
        beside: Keys that may stand beside its options, and be meant by one that is not known.
    """
    wrong = {}
    for name, value in given.items():
        if name not in known:
            wrong[name] = unknown("option", name, {*known, *beside})
        elif said := _misfit(name, value, known[name].annotation):
            wrong[name] = said
    for name, option in known.items():
        if option.required and name not in given:
            wrong[name] = f"option {name!r} is required"
    return wrong


def _misfit(name: str, value: Any, annotation: str) -> str | None:
    """Say how the value of an option does not suit its annotation; nothing if it does."""
    kind = ast.parse(annotation or "Any", mode="eval").body
    if _suits(value, kind):
        return None
    choices = [_choices(member) for member in _members(kind)]
    if isinstance(value, str) and all(choices):
        return unknown(name, value, (str(one) for some in choices for one in some))
    written = (
        " | ".join(map(repr, some)) or ast.unparse(member)
        for member, some in zip(_members(kind), choices, strict=True)
    )
    return f"expected {' | '.join(written)}, got {value!r}"


def _members(kind: ast.expr) -> list[ast.expr]:
    """Return the members of a union; of another type, itself."""
    if isinstance(kind, ast.BinOp):
        return [*_members(kind.left), *_members(kind.right)]
    return [kind]


def _choices(kind: ast.expr) -> tuple[Any, ...]:
    """Return the values of a `Literal`; none of another type."""
    if not isinstance(kind, ast.Subscript) or ast.unparse(kind.value) != "Literal":
        return ()
    found = ast.literal_eval(kind.slice)
    return found if isinstance(found, tuple) else (found,)


def _suits(value: Any, kind: ast.expr) -> bool:
    """Whether a value is of a plain type, of choices, or a list or a mapping of such.

    Any other type is left to the factory.
    """
    if isinstance(kind, ast.BinOp):
        return any(_suits(value, member) for member in _members(kind))
    if choices := _choices(kind):
        return any(type(value) is type(one) and value == one for one in choices)
    match kind:
        case ast.Subscript(ast.Name("Sequence" | "list"), one):
            return isinstance(value, list | tuple) and all(_suits(v, one) for v in value)
        case ast.Subscript(ast.Name("Mapping"), ast.Tuple([key, one])):
            return isinstance(value, Mapping) and all(
                _suits(k, key) and _suits(v, one) for k, v in value.items()
            )
    plain: dict[str, Any] = {
        "int": int,
        "float": (int, float),
        "str": str,
        "bool": bool,
        "None": type(None),
    }
    name = ast.unparse(kind)
    if isinstance(value, bool):
        return name == "bool" or name not in plain
    return name not in plain or isinstance(value, plain[name])


def build(kind: str, name: str, **given: Any) -> Any:
    """Call the factory of a plugin with the options given.

    Raises:
        SpecError: the factory takes no such option, or lacks one that it requires.
    """
    factory = find(kind, name)
    if wrong := mistakes(options(factory), given):
        raise SpecError(f"{name}: {'; '.join(wrong.values())}")
    return factory(**given)
