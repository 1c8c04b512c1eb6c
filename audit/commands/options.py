"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

BenchmarkNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BENCHMARK]...", help="Names in the spec; else its `default`."),
]
SpecFile = Annotated[Path, typer.Option("--spec", metavar="FILE", help="The spec.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the spec; typed, and recorded."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where run folders are.")]
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar="BIAS_AUDIT_STORE",
        help="Default: .bias-audit at the spec.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(envvar="BIAS_AUDIT_DEVICE", help="cpu, cuda, cuda:1, mps; else the fastest."),
]
BatchSize = Annotated[
    str,
    typer.Option(metavar="auto|N", envvar="BIAS_AUDIT_BATCH_SIZE", help="Halved out of memory."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network, the hub's cache only.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Inconclusive = Annotated[
    str,
    typer.Option(metavar="pass|warn|fail", help="What a gate that cannot be decided amounts to."),
]

SPEC = Path("benchmarks.yaml")
RUNS = Path("runs")
