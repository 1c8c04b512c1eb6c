"""Run folders as a run leaves them, from planted readings: for what reads runs."""

import json
from dataclasses import asdict

import pandas as pd
import pyarrow as pa
import yaml
from tables import tables

from audit.measuring.measurement import measure
from audit.notebook import Run
from audit.spec.spec import load
from audit.storage import folder, results_file
from audit.storage import tables as columns
from audit.storage.results import Entry, Provenance, Results


def run(
    path,
    rows,
    *,
    seeds=True,
    extra=(),
    probes=None,
    status="complete",
    probe="probe",
    also=None,
    **given,
):
    """Write a run folder as a run would, from planted readings; `also` are those of others."""
    path.mkdir(parents=True)
    (path / "table.csv").write_text("gender\nwoman\n")
    if "reference_images" in given:
        (path / given["reference_images"]).mkdir()
    plain = {"labels": "table.csv", "attributes": ["gender"]} | given
    spec = {"version": 1, "benchmarks": {"b": plain}}
    (path / folder.SPEC).write_text(yaml.safe_dump(spec))
    made_of = {"probes": probes or {"probe": "1"}}
    manifest = {"benchmark": "b", "status": status, "store": ".", "made_of": made_of}
    (path / folder.MANIFEST).write_text(json.dumps(manifest))
    images, labels = tables(rows, seeds=seeds, probe=probe)
    others = [tables(other, attribute=name)[1] for name, other in (also or {}).items()]
    labels = pd.concat([labels, *others], ignore_index=True)
    for name, frame, schema in (
        (folder.IMAGES, images, columns.IMAGES),
        (folder.LABELS, labels, columns.labels([])),
    ):
        with columns.writing(path / name, schema) as writer:
            table = pa.Table.from_pandas(
                frame.reindex(columns=schema.names), schema=schema, preserve_index=False
            )
            writer.add(table.to_pylist())
    found = measure(images, labels, load(path / folder.SPEC).benchmarks["b"])
    results_file.write(
        path / folder.RESULTS,
        Results(
            benchmark="b",
            arms=found.arms,
            prompts=dict(found.prompts),
            measurements=(*(Entry(**asdict(m)) for m in found.measurements), *extra),
            states=found.states,
            comparisons=found.comparisons,
            probes=found.probes,
            provenance=Provenance(estimands=found.estimands),
        ),
    )
    return Run.open(path)


BEFORE = ["man"] * 18 + ["woman"] * 6 + ["woman"] * 40 + ["man"] * 36
AFTER = ["woman"] * 18 + ["man"] * 6 + ["woman"] * 40 + ["man"] * 36
