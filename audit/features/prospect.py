"""What stands for a dissection before there is one, so that options are refused early.

A factory that is handed it gets as far as what is known carries it: options that it checks before
it looks at what was found are checked before hours go into the finding.
"""

from typing import Any, NoReturn

from audit.spec.feature_sets import AUTO, Placed
from audit.types import Model, Probe


class NotFoundYetError(Exception):
    """Raised where something is looked at that the discovery has yet to find."""


class Prospect:
    """Has the attributes that are known, and raises at all others."""

    def __init__(self, **known: Any) -> None:
        vars(self).update(known)

    def __getattr__(self, name: str) -> NoReturn:
        raise NotFoundYetError(name)


def prospect(model: Model, probe: Probe, wanted: Placed) -> Prospect:
    """Return in place of a `Dissection` what is known of it: model, attribute and hookpoint.

    Args:
        model: That will be dissected.
        probe: That will label the images.
        wanted: What will be looked for; where `auto` is to choose, the hookpoint is not known.
    """
    known = {
        "attribute": wanted.attribute,
        "classes": tuple(probe.classes[wanted.attribute]),
        "model": model.fingerprint,
        "ranking": wanted.ranking.name,
    }
    if wanted.hookpoint != AUTO:
        known["hookpoint"] = wanted.hookpoint
    return Prospect(features=Prospect(**known))
