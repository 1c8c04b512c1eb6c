"""Plugins by entry point: built-ins and third parties come through the same door."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
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


def options(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return what a factory may be given: its keyword-only parameters, by name."""
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def build(kind: str, name: str, **given: Any) -> Any:
    """Call the factory of a plugin with the options given.

    Raises:
        SpecError: the factory takes no such option, or lacks one that it requires.
    """
    factory = find(kind, name)
    known = options(factory)
    for option in given:
        if option not in known:
            raise SpecError(f"{name}: {unknown('option', option, known)}")
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in given:
            raise SpecError(f"{name}: option {option!r} is required")
    return factory(**given)
