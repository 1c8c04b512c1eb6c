"""Whether a release got worse than a stored one: gates on the differences between the two.

The limit is a margin: how much worse is still tolerated. A difference passes where its interval
stays within the margin, fails where it lies beyond, and is inconclusive in between. With several
differences every interval is widened, so that a release that is no worse fails any of them with
the chance that one interval alone would give it.
"""

from collections.abc import Iterable, Mapping, Sequence

from scipy import stats

from audit.errors import SpecError, unknown
from audit.measuring.bounds import Bounds
from audit.measuring.gates import claim, settle, unread
from audit.measuring.groups import Scored
from audit.measuring.verdicts import Claim, Side
from audit.spec.benchmark import Gate
from audit.storage.results import Difference, Entry, GateEntry, StateCount
from audit.types import Measurement


def guarded(
    margins: Mapping[str, float] | None, differences: Iterable[Difference]
) -> dict[str, float]:
    """Return margins by metric, with what is guarded where nothing else is said.

    That is the distance from the target, by 0; by the same also its mean over several prompts,
    because pooling hides stereotypes.
    """
    found = {"fd_debiased": 0.0, **(margins or {})}
    over = "fd_debiased_macro"
    if any(d.metric == over for d in differences):
        found.setdefault(over, found["fd_debiased"])
    return found


def regressions(
    differences: Iterable[Difference],
    margins: Mapping[str, float],
    *,
    measurements: Sequence[Entry],
    states: Sequence[StateCount],
    partial: str = "",
) -> tuple[GateEntry, ...]:
    """Decide of every guarded difference whether it is worse than its margin allows.

    Args:
        differences: Release minus baseline, over all prompts, read by the probe that judges.
        margins: By metric, with or without its extractor: how much worse is tolerated.
        measurements: Of both, for the values of the baseline.
        states: Of both, which say whether enough was read.
        partial: Why nothing may pass, where a run is not whole.

    Raises:
        SpecError: a margin is negative, or about a metric that is not there or has no better side.
    """
    rows = [d for d in differences if d.class_ is None and d.direction != "none"]
    known = {d.metric for d in rows} | {d.metric.partition("@")[0] for d in rows}
    for metric, margin in margins.items():
        if metric not in known:
            raise SpecError(f"margin: {unknown('metric', metric, known)}")
        if not margin >= 0:
            raise SpecError(f"margin of {metric}: is 0 or more, got {margin:g}")
    values = {(m.metric, m.arm, m.attribute, m.probe): m.value for m in measurements}
    claims: list[Claim] = []
    levels = [row.level for row in rows if row.level is not None]
    for row in rows:
        name = row.metric if row.metric in margins else row.metric.partition("@")[0]
        if name in margins:
            before = values.get((row.metric, row.baseline, row.attribute, row.probe))
            spoilt = partial or _unread(row, states)
            claims.append(_claim(row, margins[name], before, spoilt))
    return settle(claims, (1 - min(levels, default=0.95)) / 2)


def _claim(row: Difference, margin: float, before: float | None, spoilt: str) -> Claim:
    worse_up = row.direction == "lower"
    limit = margin if worse_up else -margin or 0.0
    gate = Gate(
        metric=_change(row.metric),
        attribute=row.attribute,
        probe=row.probe,
        arm=row.arm,
        max=limit if worse_up else None,
        min=None if worse_up else limit,
    )
    number = Measurement(
        metric=gate.metric,
        arm=row.arm,
        value=row.value,
        n=row.n,
        method=row.method,
        direction=row.direction,
        attribute=row.attribute,
        probe=row.probe,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        level=row.level,
        extractor=row.extractor,
    )
    side: Side = "max" if worse_up else "min"
    scored = Scored(number, _bounds(row))
    return claim(gate, row.arm, scored, side, limit, spoilt=spoilt, baseline=before)


def _change(metric: str) -> str:
    """Name the change of a metric.

    >>> _change("kid@inception-v3")
    'kid_change@inception-v3'
    """
    name, at, extractor = metric.partition("@")
    return f"{name}_change{at}{extractor}"


def _bounds(row: Difference) -> Bounds | None:
    """Return the ends of an interval at other levels, as the normal law would move them.

    About the middle of the interval: the value itself is not there where a debiased distance was
    cut off at 0.
    """
    if row.ci_low is None or row.ci_high is None or row.level is None:
        return None
    middle, half = (row.ci_low + row.ci_high) / 2, (row.ci_high - row.ci_low) / 2
    own = float(stats.norm.ppf((1 + row.level) / 2))

    def bounds(level: float) -> tuple[float, float]:
        reach = half * float(stats.norm.ppf(level)) / own
        return middle - reach, middle + reach

    return bounds


def _unread(row: Difference, states: Sequence[StateCount]) -> str:
    """Say that one of both sides was hardly read: its distance may be fair by omission."""
    for arm in (row.arm, row.baseline):
        about = Measurement(
            row.metric, arm, None, 0, "", "none", attribute=row.attribute, probe=row.probe
        )
        if missing := unread(about, states, row.baseline):
            return f"{arm}: {missing}"
    return ""
