"""What every recipe is told on the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def recipe(
    description: str | None,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    names: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Return the parser of a recipe with its own defaults, to which it may add.

    Args:
        description: What the recipe does.
        steps: Optimiser steps in all.
        batch: Images a step.
        learning_rate: At its peak.
        names: What the recipe can train, if more than one thing; comes first.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    if names:
        parser.add_argument("name", choices=names)
    parser.add_argument("renders", type=Path, help="folder of rendered Parquet shards")
    parser.add_argument("work", type=Path, help="folder of checkpoints and results")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--start", type=Path, help="what to go on from: checkpoint or weights")
    parser.add_argument("--device", default="cpu")
    return parser
