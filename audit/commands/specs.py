"""Commands about specs: validate, plan, list, schema, init. None of them loads torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.commands.options import RUNS, SPEC, BenchmarkNames, Out, Overrides, SpecFile
from audit.console import console, duration, size, table
from audit.document import read_file
from audit.errors import InputError, SpecError, unknown
from audit.registry import KINDS, declared, plugins, summary

if TYPE_CHECKING:
    from audit.spec import Spec

LISTS = ("benchmarks", *KINDS, "prompt-sets", "runs")
STARTER = Path(__file__).with_name("starter.yaml")


def validate(
    ctx: typer.Context,
    spec: Annotated[Path, typer.Argument(metavar="[FILE]")] = SPEC,
    overrides: Overrides = None,
) -> None:
    """Check a spec: every mistake, with file, line and column."""
    from audit.spec import load

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
) -> None:
    """Say what a run would draw, and about how long it would take; draw nothing."""
    from audit import planning
    from audit.spec import load

    found = load(spec, overrides or ())
    rows = [["benchmark", "prompts", "arms", "images", "time", "disk"]]
    plans = []
    for name in chosen(found, benchmarks):
        work = planning.plan(found.benchmarks[name])
        left = planning.estimate(work, seconds_per_image=seconds, bytes_per_image=1000 * kilobytes)
        counts = [str(len(work.prompts)), str(len(work.arms)), f"{left.images:,}"]
        rows.append([name, *counts, duration(left.seconds), size(left.bytes)])
        cut = [prompt.id for prompt in planning.long_prompts(work)]
        for prompt in cut:
            console(ctx).note(f"warning: {name}: prompt {prompt!r} is longer than CLIP reads")
        plans.append(
            {
                "benchmark": name,
                "digest": found.digest(name),
                "arms": list(work.arms),
                "prompts": [prompt.id for prompt in work.prompts],
                "requests": len(work.requests),
                "images": left.images,
                "seconds": left.seconds,
                "bytes": left.bytes,
                "long_prompts": cut,
            }
        )
    console(ctx).data(table(rows), {"plans": plans})


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
    from audit.prompt_files import SETS

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
        from audit.spec import Spec

        found = Spec.model_json_schema(by_alias=True)
        found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
    elif what == "results":
        from audit.results import schema as of_results

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
