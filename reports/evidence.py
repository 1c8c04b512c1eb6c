"""The features involved: what was found inside the model, and what speaks for it.

A feature set brings its `evidence` in `results.json` as discovery left it: a description of every
latent, the health of the autoencoder, the accuracy of the h-classifier, and the response of the
probe to rising scales. All of it is optional; what is absent is said to be.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.storage.results import FeatureRecord
from reports import dose_charts, evidence_tables
from reports.canvas import Curve
from reports.charts import Chart, lines
from reports.source import Source
from reports.tables import Table
from reports.thumbnails import Thumbnails
from reports.words import listed, number

TOP, EXAMPLES, DRAWN = 4, 4, 2
"""Latents of a class that are shown with images, images of each, and latents drawn over steps."""
PARTS = {
    "latents": "images of the latents",
    "sae": "health of the autoencoder",
    "h_classifier": "accuracy of the h-classifier",
    "doses": "dose-response",
    "control_doses": "dose-response of random latents",
    "stability": "agreement of two seeds",
    "best": "how well the best latent tells each class",
}


@dataclass(frozen=True)
class Latent:
    """One latent with the pictures that excite it most."""

    number: int
    class_: str
    effect: float
    auc: float | None
    """How well it alone tells the class from the others, on images not ranked by."""
    pictures: tuple[tuple[str, str], ...]
    """Data URI and text alternative."""


@dataclass(frozen=True)
class Evidence:
    """One feature set as the page shows it."""

    id: str
    heading: str
    summary: str
    ranked: Table
    latents: tuple[Latent, ...]
    health: tuple[tuple[str, str, str], ...]
    """Name, value and what it means."""
    left_out: str
    """Which images nothing was learnt from; empty where all came out."""
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]
    missing: str
    """What evidence this run does not hold."""


def evidence(source: Source, thumbnails: Thumbnails) -> Iterator[Evidence]:
    """Yield the feature sets of a run with their evidence."""
    for place, features in enumerate(source.results.features):
        extra = features.model_extra or {}
        given = extra.get("evidence")
        proof: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        count = sum(len(ids) for ids in features.latents.values())
        absent = [words for key, words in PARTS.items() if not proof.get(key)]
        name = str(extra.get("name") or f"{features.attribute} features")
        yield Evidence(
            id=f"features-{place}",
            heading=f"{name} at {features.hookpoint}",
            summary=f"{count} latents of a sparse autoencoder, ranked by {features.ranking}. The "
            "effect is what the ranking gives a latent: how much of the change in the probability "
            "of the class it accounts for. That is a hint; what the probe reads when the latents "
            "are scaled is the test.",
            ranked=evidence_tables.ranked(features, proof),
            latents=tuple(_latents(features, proof, str(extra.get("images", "")), thumbnails)),
            health=tuple(_health(proof)),
            left_out=_left_out(proof),
            charts=(
                *_charts(f"features-{place}", features, proof),
                *dose_charts.calibrations(f"features-{place}", extra.get("calibrations")),
            ),
            tables=tuple(evidence_tables.tables(features, proof)),
            missing=f"Not held by this run: {', '.join(absent)}." if absent else "",
        )


def _latents(
    features: FeatureRecord, proof: Mapping[str, Any], folder: str, thumbnails: Thumbnails
) -> Iterator[Latent]:
    """Yield the strongest latents of each class with the images that excite them."""
    about = {(d["class"], d["latent"]): d for d in proof.get("latents", ())}
    for class_ in features.classes:
        pairs = zip(
            features.latents.get(class_, ()), features.effects.get(class_, ()), strict=True
        )
        for latent, effect in list(pairs)[:TOP]:
            found = about.get((class_, latent), {})
            heat = _grid(found.get("positions", ()), proof.get("grid"))
            pictures = []
            for shot in found.get("images", ())[:EXAMPLES] if folder else ():
                source = thumbnails.heated(f"{folder}/{int(shot['image']):05d}.png", heat)
                if source:
                    pictures.append((source, _alternative(latent, shot)))
            yield Latent(latent, class_, effect, found.get("auc"), tuple(pictures))


def _alternative(latent: int, shot: Mapping[str, Any]) -> str:
    return (
        f"Generated image {shot['image']} of the discovery, activation "
        f"{number(shot['activation'])}; orange marks where latent {latent} is active on average."
    )


def _grid(
    positions: Sequence[float], shape: Sequence[int] | None
) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return activations by position as a grid; None where they do not form one.

    Evidence of older runs does not say its shape: it was of square images.
    """
    height, width = shape or [int(len(positions) ** 0.5)] * 2
    if not height or height * width != len(positions):
        return None
    return np.asarray(positions, float).reshape(height, width)


def _health(proof: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    sae = proof.get("sae") or {}
    if "fvu" in sae:
        worst = max(np.atleast_1d(sae["fvu"]).tolist(), default=0.0)
        yield (
            "Variance explained",
            number(1 - worst, "share"),
            "of the activations, at the worst step",
        )
    for key, name, kind, meaning in (
        ("l0", "Active latents", "", "at one position, on average"),
        ("dead", "Dead latents", "share", "that never fire"),
        ("duplicates", "Duplicates", "share", "of latents whose direction another has too"),
    ):
        if key in sae:
            value = float(sae[key])
            yield name, number(value, kind) if kind else f"{value:.4g}", meaning
    if "read" in proof and "images" in proof:
        yield "Found in", f"{proof['images']:,} images", f"of which {proof['read']:,} were read"
    adjusted = proof.get("adjusted") or {}
    if adjusted.get("for"):
        worth = listed([f"{n:.0f} images of {name}" for name, n in adjusted["effective"].items()])
        yield (
            "Adjusted for",
            listed(adjusted["for"]),
            "in which the classes were made alike by weighing their images, which leaves the "
            f"worth of {worth}",
        )
    if "probe" in proof:
        yield "Labelled by", str(proof["probe"]), "which is why another probe should judge as well"


def _left_out(proof: Mapping[str, Any]) -> str:
    """Say how many images of the discovery were left out of the evidence, and why."""
    counts = proof.get("left_out") or {}
    if not counts:
        return ""
    total, why = sum(counts.values()), listed([f"{n:,} {state}" for state, n in counts.items()])
    return f"Left out of the evidence, since they did not come out: {total:,} images ({why})."


def _charts(identifier: str, features: FeatureRecord, proof: Mapping[str, Any]) -> Iterator[Chart]:
    if profile := list(_profile(features, proof)):
        peaks = [f"{c.label} at step {c.x[int(np.argmax(c.y))]:g}" for c in profile]
        yield lines(
            f"{identifier}-steps",
            "When the latents fire",
            f"Most active: {', '.join(peaks)}. Step 0 is the noisiest.",
            ("sampling step", "mean activation", ""),
            profile,
        )
    unexplained = np.atleast_1d((proof.get("sae") or {}).get("fvu", ())).tolist()
    if len(unexplained) > 1:
        worst = int(np.argmax(unexplained))
        yield lines(
            f"{identifier}-fvu",
            "What the autoencoder leaves out",
            f"On images it was not trained on it leaves out most at step {worst}: "
            f"{number(unexplained[worst], 'share')} of the variance.",
            ("sampling step", "fraction of variance unexplained", ""),
            [Curve("held-out images", list(range(len(unexplained))), unexplained)],
        )
    heads = proof.get("h_classifier") or {}
    accuracy = list(np.atleast_1d(heads.get("accuracy", ())))
    if len(accuracy) > 1:
        steps = range(len(accuracy))
        drawn = [Curve(features.attribute, list(steps), [float(a) for a in accuracy])]
        if "chance" in heads:
            drawn.append(
                Curve("chance", list(steps), [heads["chance"]] * len(accuracy), control=True)
            )
        best = int(np.argmax(accuracy))
        yield lines(
            f"{identifier}-heads",
            f"When the model knows the {features.attribute}",
            f"A linear classifier at the hookpoint is right most often at step {best}: "
            f"{number(float(accuracy[best]), 'share')}.",
            ("sampling step", "balanced accuracy", "share"),
            drawn,
        )
    yield from dose_charts.doses(identifier, features, proof)


def _profile(features: FeatureRecord, proof: Mapping[str, Any]) -> Iterator[Curve]:
    """Yield the activation over steps of the first latents of each class."""
    for class_ in features.classes:
        mine = [d for d in proof.get("latents", ()) if d["class"] == class_ and d.get("steps")]
        for found in mine[:DRAWN]:
            steps = found["steps"]
            yield Curve(f"{class_} {found['latent']}", list(range(len(steps))), steps)
