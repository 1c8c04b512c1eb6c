"""Commands about specs: validate, plan, list, schema, init. None of them loads torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.commands.options import RUNS, SPEC, BenchmarkNames, Out, Overrides, SpecFile, Store
from audit.console import console, duration, size, table
from audit.errors import InputError, SpecError, unknown
from audit.registry import KINDS, declared, plugins, summary
from audit.spec.document import read_file

if TYPE_CHECKING:
    from audit.spec.spec import Spec

LISTS = ("benchmarks", *KINDS, "prompt-sets", "runs")
REACH = (
    "detects fd: the smallest FD that so many images tell from a fair model's in 80 % of runs,"
    " over all prompts and in one; fair up to: 95 % of fair models stay under it"
)
TOGETHER = (
    "over all prompts at best: images of one prompt or seed go together, and at worst count as one"
)
STARTER = Path(__file__).with_name("starter.yaml")


def validate(
    ctx: typer.Context,
    spec: Annotated[Path, typer.Argument(metavar="[FILE]")] = SPEC,
    overrides: Overrides = None,
) -> None:
    """Check a spec: every mistake, with file, line and column."""
    from audit.spec.spec import load

    found = load(spec, overrides or ())
    digests = {name: found.digest(name) for name in found.benchmarks}
    line = f"{spec}: no mistakes; benchmarks: {', '.join(digests)}"
    console(ctx).data([line], {"spec": str(spec), "benchmarks": digests})


def plan(
    ctx: typer.Context,
    benchmarks: BenchmarkNames = None,
    spec: SpecFile = SPEC,
    overrides: Overrides = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="To draw an image, on your machine.")
    ] = 0.25,
    kilobytes: Annotated[float, typer.Option(min=0, help="Of an image.")] = 12.0,
    cached: Annotated[bool, typer.Option("--cached", help="Look up what the store has.")] = False,
    store: Store = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse gates that so few images cannot decide.")
    ] = False,
) -> None:
    """Say what a run would draw, how long it would take, and what it could show; draw nothing."""
    from audit.spec import power
    from audit.spec.spec import load

    found = load(spec, overrides or ())
    plans = []
    warnings = []
    for name in chosen(found, benchmarks):
        there = _in_store(found, name, store) if cached else 0
        plans.append(_planned(found, name, there, seconds, 1000 * kilobytes))
        warnings += [f"{name}: {warning}" for warning in power.warnings(found.benchmarks[name])]
        cut = plans[-1]["long_prompts"]
        warnings += [f"{name}: prompt {prompt!r} is longer than CLIP reads" for prompt in cut]
    for warning in warnings:
        console(ctx).note(f"warning: {warning}")
    work = [["benchmark", "prompts", "arms", "images", "cached", "time", "disk"]]
    reach = [["benchmark", "attribute", "images", "detects fd", "in a prompt", "fair up to"]]
    for one in plans:
        counts = [str(len(one["prompts"])), str(len(one["arms"])), f"{one['images']:,}"]
        spent = [duration(one["seconds"]), size(one["bytes"])]
        work.append([one["benchmark"], *counts, f"{one['cached']:,}", *spent])
        for of in one["reach"]:
            shown = (of["detectable"], of["detectable_per_prompt"], of["null"])
            numbers = [f"{value:.3f}" for value in shown]
            reach.append([one["benchmark"], of["attribute"], f"{of['images']:,}", *numbers])
    assumed = (
        f"time and disk are for {seconds:g} s and {kilobytes:g} kB an image, which your model and"
        " machine may be far from: --seconds, --kilobytes"
    )
    lines = [*table(work), assumed]
    sought = {name: images for one in plans for name, images in one["features"].items()}
    lines += [
        f"unless the store has it, {name} is found first: {images} images to dissect the model,"
        " and about as many again to choose where and how strongly to steer"
        for name, images in sought.items()
    ]
    if len(reach) > 1:
        lines += ["", *table(reach), REACH]
        clustered = any(of["units"] < of["images"] for one in plans for of in one["reach"])
        lines += [TOGETHER] if clustered else []
    rates = {"seconds_per_image": seconds, "bytes_per_image": 1000 * kilobytes}
    console(ctx).data(lines, {"plans": plans, "assumed": rates, "warnings": warnings})
    if strict and warnings:
        raise SpecError("--strict: " + "\n--strict: ".join(warnings))


def _planned(
    spec: "Spec", name: str, cached: int, seconds: float, size_of_image: float
) -> dict[str, Any]:
    from audit.spec import planning, power

    benchmark = spec.benchmarks[name]
    work = planning.plan(benchmark)
    left = planning.estimate(
        work, cached=cached, seconds_per_image=seconds, bytes_per_image=size_of_image
    )
    return {
        "benchmark": name,
        "digest": spec.digest(name),
        "arms": list(work.arms),
        "prompts": [prompt.id for prompt in work.prompts],
        "requests": len(work.requests),
        **asdict(left),
        "features": {
            component.features: spec.features[component.features].images
            for component in benchmark.mitigations
            if component.features
        },
        "reach": [asdict(one) for one in power.reach(benchmark)],
        "long_prompts": [prompt.id for prompt in planning.long_prompts(work)],
    }


def _in_store(spec: "Spec", name: str, store: Path | None) -> int:
    """Count the images that are there; those of arms with a feature set are not looked up."""
    from audit.images.drawing import Arm
    from audit.spec.planning import plan as laid_out
    from audit.storage.store import Store as Blobs
    from audit.storage.store import default_root
    from audit.supply import Supply

    benchmark = spec.benchmarks[name]
    blobs = Blobs(store or default_root(spec.folder))
    supply = Supply(spec, benchmark)
    there = 0
    for component in benchmark.mitigations if benchmark.model else ():
        if component.features is None and benchmark.model:
            arm = Arm(component.label, supply.model(benchmark.model), supply.mitigation(component))
            requests = laid_out(benchmark).requests
            there += sum(blobs.get(arm.key(request)) is not None for request in requests)
    return there


def chosen(spec: "Spec", names: Sequence[str] | None) -> list[str]:
    """Return the benchmarks that are meant: those named, the spec's default, or all.

    Raises:
        SpecError: one of the names is not in the spec.
    """
    wanted = list(names or spec.default or spec.benchmarks)
    for name in wanted:
        if name not in spec.benchmarks:
            raise SpecError(unknown("benchmark", name, spec.benchmarks))
    return wanted


def list_(
    ctx: typer.Context,
    what: Annotated[str | None, typer.Argument(metavar="[WHAT]", help=", ".join(LISTS))] = None,
    spec: SpecFile = SPEC,
    out: Out = RUNS,
) -> None:
    """List what there is: benchmarks, plugins by kind, prompt sets, runs."""
    if what is not None and what not in LISTS:
        raise SpecError(unknown("list", what, LISTS))
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in [what] if what else LISTS:
        if kind in KINDS:
            found[kind] = [_plugin(kind, name) for name in sorted(plugins(kind))]
        elif kind == "prompt-sets":
            found[kind] = list(_prompt_sets())
        elif kind == "runs":
            found[kind] = list(_runs(out))
        else:
            found[kind] = list(_benchmarks(spec))
    lines = []
    for kind, entries in found.items():
        rows = [[entry["name"], entry["about"]] for entry in entries] or [["(none)", ""]]
        indent = "" if what else "  "
        lines += ([] if what else [f"{kind}:"]) + [indent + line for line in table(rows)]
    console(ctx).data(lines, found)


def _plugin(kind: str, name: str) -> dict[str, Any]:
    options = sorted(declared(kind, name) or {})
    about = summary(kind, name) or plugins(kind)[name].value
    return {"name": name, "about": about, "options": options, "object": plugins(kind)[name].value}


def _prompt_sets() -> Iterator[dict[str, Any]]:
    from audit.spec.prompt_files import SETS

    for path in sorted(SETS.glob("*.yaml")):
        content = read_file(path, path.name).value
        about = f"{len(content['prompts'])} prompts; {content['source']} ({content['licence']})"
        yield {"name": path.stem, "about": about}


def _benchmarks(spec: Path) -> Iterator[dict[str, Any]]:
    """Yield names and titles as written; whether they are right is for `validate` to say."""
    content = read_file(spec, str(spec)).value
    entries = content.get("benchmarks") if isinstance(content, Mapping) else None
    for name, entry in (entries if isinstance(entries, Mapping) else {}).items():
        title = entry.get("title") if isinstance(entry, Mapping) else None
        yield {"name": name, "about": str(title or "")}


def _runs(out: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(out.glob("*/run.json")):
        try:
            manifest = json.loads(path.read_text("utf-8"))
            status = str(manifest["status"])
        except (OSError, ValueError, KeyError, TypeError):
            status = "unreadable run.json"
        yield {"name": str(path.parent), "about": status}


def schema(
    ctx: typer.Context, what: Annotated[str, typer.Argument(metavar="spec|results")]
) -> None:
    """Print a JSON Schema, of specs for editors or of results.json for scripts."""
    if what == "spec":
        from audit.spec.spec import Spec

        found = Spec.model_json_schema(by_alias=True)
        found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
    elif what == "results":
        from audit.storage.results_file import schema as of_results

        found = of_results()
    else:
        raise SpecError(unknown("schema", what, ("spec", "results")))
    console(ctx).data(json.dumps(found, indent=2).split("\n"), found)


def init(
    ctx: typer.Context, path: Annotated[Path, typer.Argument(metavar="[FILE]")] = SPEC
) -> None:
    """Write a commented starter spec; what is there already is left alone."""
    if path.exists():
        raise InputError(f"{path}: is there already; give another name")
    with path.open("x", encoding="utf-8") as file:
        file.write(STARTER.read_text("utf-8"))
    console(ctx).note(f"wrote {path}; `bias-audit run --spec {path}` runs it")
    console(ctx).data([str(path)], {"spec": str(path)})
