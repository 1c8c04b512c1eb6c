"""The tables of a run in, `results.json` out: numbers, verdicts, features, where they are from."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.images import embedding
from audit.measuring import error_cards
from audit.measuring.error_cards import ErrorCard
from audit.measuring.gates import decide
from audit.measuring.measurement import Measured, measure
from audit.measuring.people import read_people
from audit.measuring.quality import Embeddings
from audit.progress import Progress
from audit.storage import digests, results_file
from audit.storage.folder import RESULTS, Run
from audit.storage.results import Entry, FeatureRecord, Provenance, Results, Warned
from audit.storage.store import Store
from audit.storage.weights import embedded, fingerprint
from audit.supply import Supply


def conclude(
    run: Run,
    supply: Supply,
    store: Store,
    progress: Progress,
    *,
    features: Sequence[FeatureRecord] = (),
) -> Results:
    """Measure a run, decide on its gates, and write `results.json`.

    The same tables give the same bytes: no time, no device and no batch size enters.

    Args:
        run: A run folder whose tables are written.
        supply: Of encoders and of the probes' fingerprints.
        store: Holds embeddings.
        progress: Told what is being done.
        features: The feature sets used.
    """
    benchmark = supply.benchmark
    progress.begin("embedding", len(benchmark.encoders))
    embeddings = []
    for encoder in supply.encoders():
        embeddings.append(_embeddings(run, encoder, supply, store))
        progress.advance(1)
    progress.begin("measuring", 1)
    people = None
    if benchmark.people is not None:
        classes = {name: benchmark.classes_of(name) for name in benchmark.attributes}
        people = read_people(supply.spec.folder / benchmark.people, run.images, classes)
    measured = measure(
        run.images,
        run.labels,
        benchmark,
        embeddings=embeddings,
        cards=_cards(supply),
        people=people,
        margins=benchmark.margins,
    )
    found = Results(
        benchmark=run.manifest["benchmark"],
        title=benchmark.title,
        arms=measured.arms,
        prompts=dict(measured.prompts),
        measurements=tuple(Entry(**asdict(one)) for one in measured.measurements),
        states=measured.states,
        comparisons=measured.comparisons,
        flips=measured.flips,
        probes=measured.probes,
        agreement=measured.agreement,
        gates=decide(benchmark, measured, partial=run.manifest["partial"]),
        features=tuple(features),
        provenance=_provenance(run, supply, measured),
    )
    results_file.write(run.folder / RESULTS, found)
    progress.advance(1)
    return found


def measured_with(supply: Supply) -> dict[str, Any]:
    """Return digests of what the numbers hang on besides images and readings.

    Error cards by probe, None where there is none; reference images by content where they are one
    file, else by names and sizes, which are the same on every machine.

    Raises:
        InputError: a card is damaged, or there are no such reference images.
    """
    cards = {
        probe: fingerprint(card.model_dump_json()) if isinstance(card, ErrorCard) else None
        for probe, card in _cards(supply).items()
    }
    place = _reference_images(supply)
    return {"error_cards": cards, "reference_images": place and _digest(place)}


def _reference_images(supply: Supply) -> Path | None:
    """Return where the reference images are: beside the spec, or embedded."""
    named = supply.benchmark.reference_images
    if named is None:
        return None
    own = supply.spec.folder / named
    place = own if own.exists() else embedded(named)
    if not place.exists():
        raise InputError(f"reference_images: {own} is neither here nor embedded")
    return place


def _digest(place: Path) -> str:
    if place.is_file():
        return digests.of_file(place)[:16]
    files = sorted(file for file in place.rglob("*") if file.is_file())
    return fingerprint(*((f.relative_to(place).as_posix(), f.stat().st_size) for f in files))


def _provenance(run: Run, supply: Supply, measured: Measured) -> Provenance:
    """Return what the numbers are from; of the manifest only what is the same on every machine."""
    benchmark = supply.benchmark
    before = [Warned(**one) for one in run.manifest["warnings"]]
    made_of = {key: v for key, v in run.manifest["made_of"].items() if key != "input"}
    return Provenance.model_validate(
        {
            "digest": run.manifest["digest"],
            "suite": run.manifest["suite"],
            "packages": run.manifest["packages"],
            **_model(supply),
            "made_of": made_of,
            "estimands": measured.estimands,
            "warnings": (*before, *measured.warnings),
            "truth": run.manifest.get("truth", {}),
            "seed": benchmark.seed,
            "seed_scheme": benchmark.seed_scheme,
            "level": benchmark.statistics.level,
        }
    )


def _model(supply: Supply) -> dict[str, Any]:
    """Return the model that drew, as the spec has it; nothing for images and labels at hand."""
    name = supply.benchmark.model
    if name is None:
        return {}
    written = supply.spec.models[name].model_dump(mode="json", exclude_none=True)
    return {"model": {**written, "plugin": written["name"], "name": name}}


def _embeddings(run: Run, encoder: Any, supply: Supply, store: Store) -> Embeddings:
    benchmark = supply.benchmark
    prompts = {prompt.id: prompt.text for prompt in benchmark.prompts}
    place = _reference_images(supply)
    reference = None if place is None else embedding.of_reference(place, encoder, store)
    return Embeddings(
        encoder=encoder.name,
        extractor=getattr(encoder, "extractor", encoder.name),
        images=embedding.of_images(run.images, run.store, encoder, store),
        texts=embedding.of_prompts(prompts, encoder),
        reference=reference,
    )


def _cards(supply: Supply) -> dict[str, ErrorCard | str]:
    """Return by probe what is known of its errors, or why nothing is."""
    cards: dict[str, ErrorCard | str] = {}
    own = [supply.spec.folder / error_cards.BESIDE_SPEC]
    for component in supply.benchmark.probes:
        probe = supply.probe(component)
        cards[component.label] = error_cards.find(probe.name, probe.fingerprint, own)
    return cards
