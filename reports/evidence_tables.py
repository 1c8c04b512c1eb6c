"""What speaks for a feature set, in tables: its latents, its hookpoint, its stability."""

from collections.abc import Iterator, Mapping
from typing import Any

from audit.storage.results import FeatureRecord
from reports.tables import Cell, Row, Table, count_cell, number_cell, table, value_cell
from reports.words import number


def tables(features: FeatureRecord, proof: Mapping[str, Any]) -> Iterator[Table]:
    """Yield what there is: why this hookpoint, how stable latents are, how telling the best."""
    if found := proof.get("hookpoints"):
        yield _hookpoints(found)
    if found := proof.get("stability"):
        yield _stability(features, found)
        if any("correlation" in one for one in found["classes"].values()):
            yield _correlated(features, found)
    if found := proof.get("best"):
        yield _best(features, found)


def _hookpoints(found: Mapping[str, Any]) -> Table:
    def called(name: str) -> str:
        notes = [
            note
            for note, holds in (
                ("chosen", name == found["chosen"]),
                ("the usual bottleneck", name == found["default"]),
            )
            if holds
        ]
        return f"{name} ({', '.join(notes)})" if notes else name

    rows: list[Row] = [
        [
            called(one["hookpoint"]),
            number_cell(one["share"], "share", one["low"], one["high"]),
            value_cell(one["effect"]),
            count_cell(one["n"]),
        ]
        for one in found["candidates"]
    ]
    return table(
        "Where a push along the plain difference of class means does most, measured on seeds of "
        f"its own in {found['steps']} steps. Unpushed, {number(found['unpushed'], 'share')} of "
        "the same images are read as the class wanted; the effect is what is added to that.",
        ["Hookpoint", "Read as the class pushed to", "Effect", "Images"],
        rows,
    )


def _stability(features: FeatureRecord, found: Mapping[str, Any]) -> Table:
    rows: list[Row] = [
        [
            name,
            number_cell(one["share"], "share", one["low"], one["high"]),
            value_cell(one["chance"], "share"),
            value_cell(one["chance_high"], "share"),
            number_cell(one["cosine"], "", one["cosine_low"], one["cosine_high"]),
            value_cell(one["cosine_chance"]),
            value_cell(one["cosine_chance_high"]),
            count_cell(one["n"]),
        ]
        for name, one in found["classes"].items()
    ]
    return table(
        f"Latents of {features.attribute} that an autoencoder with another seed finds too: of the "
        f"{found['top']} strongest, those with a decoder cosine of at least "
        f"{found['threshold']:g} to one of its own strongest. Chance: latents of it that fire as "
        "much, drawn at random; 97.5 % of the draws lie below the last of each three.",
        [
            "Class",
            "Found again",
            "Found by chance",
            "Found by chance, 97.5\N{NO-BREAK SPACE}%",
            "Mean cosine",
            "Cosine by chance",
            "Cosine by chance, 97.5\N{NO-BREAK SPACE}%",
            "Latents",
        ],
        rows,
    )


def _correlated(features: FeatureRecord, found: Mapping[str, Any]) -> Table:
    rows: list[Row] = [
        [
            name,
            *_against_chance(one, "correlation"),
            *_against_chance(one, "within"),
            count_cell(found["images"]),
        ]
        for name, one in found["classes"].items()
    ]
    return table(
        f"How alike the latents of {features.attribute} fire in the two autoencoders, as sets "
        "that need not share a latent: rank correlation of the summed activation of the "
        f"{found['top']} strongest, over images that trained neither. Two sets that tell a class "
        "agree for that alone; within classes what they tell of the class is taken off. Chance: "
        "sets of the other that fire as much, drawn at random; 97.5 % of the draws lie below the "
        "last of each three.",
        [
            "Class",
            "Rank correlation",
            "Correlation by chance",
            "Correlation by chance, 97.5\N{NO-BREAK SPACE}%",
            "Within classes",
            "Within classes by chance",
            "Within classes by chance, 97.5\N{NO-BREAK SPACE}%",
            "Images",
        ],
        rows,
    )


def _against_chance(one: Mapping[str, Any], key: str) -> tuple[Cell, Cell, Cell]:
    return (
        number_cell(one.get(key), "", one.get(f"{key}_low"), one.get(f"{key}_high")),
        value_cell(one.get(f"{key}_chance")),
        value_cell(one.get(f"{key}_chance_high")),
    )


def _best(features: FeatureRecord, found: Any) -> Table:
    rows: list[Row] = [
        [
            one["class"],
            Cell(str(one["latent"]), float(one["latent"])),
            number_cell(one["auc"], "", one["low"], one["high"]),
            count_cell(one["positives"]),
            count_cell(one["negatives"]),
        ]
        for one in found
    ]
    return table(
        f"How well a single latent tells {features.attribute}: for each class the best one, "
        "chosen on some images and judged on others. 0.5 is chance.",
        ["Class", "Latent", "AUC", "Images of the class", "Others"],
        rows,
    )


def ranked(features: FeatureRecord, proof: Mapping[str, Any]) -> Table:
    """Return all latents with their effects."""
    about = {(d["class"], d["latent"]): d for d in proof.get("latents", ())}
    rows: list[Row] = []
    for class_, ids in features.latents.items():
        for rank, (latent, effect) in enumerate(
            zip(ids, features.effects[class_], strict=True), 1
        ):
            found = about.get((class_, latent), {})
            rows.append(
                [
                    class_,
                    Cell(str(rank), float(rank)),
                    Cell(str(latent), float(latent)),
                    value_cell(effect),
                    value_cell(found.get("auc")),
                    value_cell(found.get("mean_activation")),
                ]
            )
    return table(
        f"Latents ranked for {features.attribute}, strongest first in each class. AUC: how well "
        "the latent alone tells the class from the others on images held out, which had no "
        "part in the ranking; 0.5 is chance.",
        ["Class", "Rank", "Latent", "Effect", "AUC", "Mean activation"],
        rows,
        sortable=True,
    )
