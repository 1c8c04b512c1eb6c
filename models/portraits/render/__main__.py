"""Render a labelled set: `python -m models.portraits.render ASSETS OUT --images N --seed S`."""

import argparse
import os
import sys
from pathlib import Path

# One process a core, one thread a process; set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from audit.errors import AuditError
from models.portraits.render.produce import Job, timed


def main() -> int:
    """Parse the command line and render; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.portraits.render", description=__doc__)
    parser.add_argument("assets", type=Path, help="folder with hair/ and clothes/ of the CC0 meshes")
    parser.add_argument("out", type=Path, help="folder for the shards; what it holds is kept")
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=1, help="rows depend on (seed, index) alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--body", type=Path, help="body model; default OUT/../body.npz, made if missing")
    given = parser.parse_args()
    body = given.body or given.out.parent / "body.npz"
    job = Job(given.assets, body, given.out, given.images, given.seed, given.workers)
    try:
        if not body.exists():
            from models.portraits.render.body import export

            body.parent.mkdir(parents=True, exist_ok=True)
            export(body)
        for line in timed(job):
            print(line, flush=True)
    except AuditError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
