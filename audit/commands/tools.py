"""Commands that study a model, a probe or the machine: discover, calibrate, doctor."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audit.commands.options import SPEC, Device, Offline, Overrides, SpecFile, Store
from audit.commands.outcomes import number
from audit.commands.runs import go_offline
from audit.console import console, table
from audit.errors import SpecError, unknown

LACKING = 5
"""Exit status of a machine that lacks something."""


def discover(
    ctx: typer.Context,
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK")],
    attribute: Annotated[str, typer.Argument(metavar="ATTRIBUTE")],
    spec: SpecFile = SPEC,
    overrides: Overrides = None,
    store: Store = None,
    device: Device = None,
    offline: Offline = False,
) -> None:
    """Find the latents of a model that carry an attribute; found once, then read."""
    from audit.spec.spec import load

    found = load(spec, overrides or ())
    if benchmark not in found.benchmarks:
        raise SpecError(unknown("benchmark", benchmark, found.benchmarks))
    model = found.benchmarks[benchmark].model
    sets = [name for name, of in found.features.items() if of.model == model]
    name = next((name for name in sets if found.features[name].attribute == attribute), None)
    if name is None:
        known = [found.features[name].attribute for name in sets]
        raise SpecError(f"no feature set: {unknown('attribute', attribute, known)}")
    go_offline(offline)
    from audit.arms import Arms
    from audit.storage.store import Store as Blobs
    from audit.storage.store import default_root
    from audit.supply import Supply

    supply = Supply(found, found.benchmarks[benchmark], device)
    blobs = Blobs(store or default_root(found.folder))
    dissection = Arms(supply, blobs, progress=console(ctx)).dissection(name)
    features = dissection.features
    rows = [["class", "rank", "latent", "effect"]]
    for class_, latents in features.latents.items():
        effects = features.effects[class_]
        for rank, (latent, effect) in enumerate(zip(latents, effects, strict=True), 1):
            rows.append([class_, str(rank), str(latent), number(effect)])
    where = f"{name}: {dissection.folder}"
    plain = {"name": name, "folder": str(dissection.folder), **asdict(features)}
    console(ctx).data([where, *table(rows)], plain)


def calibrate(
    ctx: typer.Context,
    probe: Annotated[str, typer.Argument(metavar="PROBE")],
    data: Annotated[Path, typer.Option(help="Folder by class, CSV or Parquet, with labels.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The error card.")] = None,
    describe: Annotated[str, typer.Option(help="What the images are.")] = "",
    licence: Annotated[str, typer.Option(help="Of the images.")] = "unknown",
    image_size: Annotated[int | None, typer.Option(min=8, help="Scale images down.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
) -> None:
    """Measure the errors of a probe on labelled images; writes its error card.

    A card holds for images like those it was made of: one made of renders or photographs need not
    hold for a model's softer pictures. For those, draw images whose class is known, by prompts
    that name it or by a labeller you trust, and sort them into folders of that class:
    `DATA/woman/1.png`, `DATA/man/2.png`; or `DATA/gender/woman/…` for several attributes. A CSV
    has a column `path` and one for each attribute. Runs find the card in `error-cards` beside
    their spec.
    """
    from itertools import islice

    from audit import registry
    from audit.images.labelled import labelled
    from audit.measuring import calibration, error_cards

    built = registry.build("probes", probe)
    images = islice(labelled(data, built.classes, size=image_size), limit)
    card = calibration.calibrate(built, images, data=describe or data.name, licence=licence)
    path = out or Path(error_cards.BESIDE_SPEC) / f"{probe.replace(':', '-')}.json"
    error_cards.write(path, card)
    rows = [["attribute", "accuracy", "read", "not read"]]
    for name, table_of in card.attributes.items():
        read = sum(map(sum, table_of.counts))
        rows.append([name, number(table_of.accuracy), str(read), str(sum(table_of.missing))])
    console(ctx).data([str(path), *table(rows)], {"card": str(path), **card.model_dump()})


def doctor(
    ctx: typer.Context,
    store: Store = None,
    of_store: Annotated[
        bool, typer.Option("--verify", help="Read every entry of the store, too.")
    ] = False,
    gc: Annotated[bool, typer.Option("--gc", help="Delete what no entry commits.")] = False,
) -> None:
    """Say what this machine has and lacks, and whether the store is sound."""
    from audit.doctor import collect, examine, verify
    from audit.storage.store import Store as Blobs
    from audit.storage.store import default_root

    root = store or default_root(Path.cwd())
    findings = list(examine(root))
    if of_store or gc:
        findings += verify(Blobs(root))
    rows = [["ok" if one.ok else "lacks", one.what, one.found] for one in findings]
    lines = table(rows)
    if gc:
        lines.append(f"deleted {collect(Blobs(root))} files")
    console(ctx).data(lines, {"findings": [asdict(one) for one in findings]})
    raise typer.Exit(0 if all(one.ok for one in findings) else LACKING)
