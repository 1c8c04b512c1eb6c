"""How the probe answers to rising scales, and what that says about reaching the target."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from audit.statistics.intervals import wilson
from audit.storage.results import FeatureRecord
from reports.canvas import Curve
from reports.charts import Chart, lines, part
from reports.words import listed, number


def calibrations(identifier: str, given: Any) -> Iterator[Chart]:
    """Yield the curve that a scale of `auto` was chosen from, once for all arms that share it."""
    told: list[tuple[list[str], Any]] = []
    for arm, found in (given if isinstance(given, Mapping) else {}).items():
        alike = next((arms for arms, known in told if known == found), None)
        if alike is None:
            told.append(([arm], found))
        else:
            alike.append(arm)
    for arms, found in told:
        curve, chosen = found["curve"], found["chosen"]

        def column(key: str, curve: Sequence[Mapping[str, float]] = curve) -> list[float]:
            return [point[key] for point in curve]

        alone = f": {' and '.join(arms)}" if len(told) > 1 else ""
        yield lines(
            f"{identifier}-calibration-{part(arms[0])}",
            f"How strongly to steer{alone}",
            f"{_why(found)} {_assigned(found)} The line stands at the scale chosen.",
            ("scale", "expected FD", ""),
            [Curve("expected FD", column("scale"), column("fd"), column("low"), column("high"))],
            at=chosen["scale"],
        )


def _why(found: Mapping[str, Any]) -> str:
    """Say why that scale: the smallest that suffices, else the smallest that is nearly best."""
    chosen, best = found["chosen"], min(found["curve"], key=lambda point: point["fd"])
    here, limit = f"{number(chosen['fd'])} at scale {chosen['scale']:g}", f"{found['limit']:g}"
    if found["within"]:
        return (
            f"The smallest scale that is expected to bring the FD of new images within {limit}: "
            f"{here}."
        )
    if chosen["scale"] == best["scale"]:
        return f"No scale is expected to bring the FD of new images within {limit}; best: {here}."
    return (
        f"No scale is expected to bring the FD of new images within {limit}. Best is "
        f"{number(best['fd'])} at scale {best['scale']:g}; chosen is the smallest scale that "
        f"comes near it: {here}."
    )


def _assigned(found: Mapping[str, Any]) -> str:
    """Say how often each class is steered to: set beforehand, and no result."""
    shares = (
        f"{number(share, 'share')} of the images to {name}"
        for name, share in zip(found["classes"], found["chosen"]["shares"], strict=True)
    )
    return (
        f"Assigned, not drawn: it steers {listed(shares)}, since not every image follows and the "
        "model leans one way."
    )


def doses(identifier: str, features: FeatureRecord, proof: Mapping[str, Any]) -> Iterator[Chart]:
    """Yield for each class the share of images that followed, by scale, with the fitted curve."""
    for row, class_ in enumerate(features.classes):
        drawn = [
            curve
            for key, label in (("doses", "found latents"), ("control_doses", "random latents"))
            if (curve := _response(proof.get(key) or (), row, label, control=key != "doses"))
        ]
        if not drawn:
            continue
        moves = "; ".join(map(_move, drawn))
        fitted = (proof.get("response") or {}).get("classes", {}).get(class_)
        if fitted:
            scales = proof["response"]["scales"]
            drawn.append(Curve("fitted", scales, fitted["share"], fitted["low"], fitted["high"]))
        yield lines(
            f"{identifier}-dose-{row}",
            f"Steered to {class_}: dose and response",
            f"Images steered to {class_} and read as {class_}, at scale {drawn[0].x[0]:g} to "
            f"{drawn[0].x[-1]:g}, where 1 takes latents from what they typically show in images "
            f"of the others to what they show in images of {class_}. {moves}.",
            ("scale", f"share read as {class_}", "share"),
            drawn,
        )


def _move(curve: Curve) -> str:
    if len(curve.x) == 1:
        return f"{curve.label}: {number(curve.y[0], 'share')} at scale {curve.x[0]:g}"
    return f"{curve.label}: from {number(curve.y[0], 'share')} to {number(curve.y[-1], 'share')}"


def _response(
    doses: Sequence[Mapping[str, Any]], row: int, label: str, *, control: bool
) -> Curve | None:
    """Return the share of images steered to a class that are read as it, by scale."""
    counts = [(float(d["scale"]), d["counts"][row][row], sum(d["counts"][row])) for d in doses]
    known = [(scale, hits / n, n) for scale, hits, n in counts if n]
    if not known:
        return None
    scales, share, n = zip(*known, strict=True)
    interval = wilson(share, n)
    low, high = np.atleast_1d(interval.low).tolist(), np.atleast_1d(interval.high).tolist()
    return Curve(label, scales, share, low, high, control)
