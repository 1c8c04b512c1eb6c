"""Render a labelled set: `python -m models.portraits.render ASSETS OUT --images N --seed S`."""

import argparse
import os
import sys
from pathlib import Path

from audit.errors import AuditError
from models.portraits.render.produce import Job, timed


def main() -> int:
    """Parse the command line and render; returns the exit status."""
    parser = argparse.ArgumentParser("python -m models.portraits.render", description=__doc__)
    parser.add_argument("assets", type=Path, help="folder of the CC0 meshes: hair/, clothes/")
    parser.add_argument("out", type=Path, help="folder for the shards; what it holds is kept")
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1, help="a row depends on (seed, index) alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--body", type=Path, help="body model, made if missing [OUT/../body.npz]")
    parser.add_argument("--population", help="draw as this was planted in truth.yaml [evenly]")
    given = parser.parse_args()
    body = given.body or given.out.parent / "body.npz"
    job = Job(
        given.assets, body, given.out, given.images, given.seed, given.workers, given.population
    )
    try:
        for line in timed(job):
            print(line, flush=True)
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
