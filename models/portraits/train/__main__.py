"""Train all embedded models and put them where the package ships them.

    python -m models.portraits.train RENDERS WORK

RENDERS is the folder that `python -m models.portraits.render` wrote. Each stage goes on where it
was stopped and is skipped once it is done, so the command can be repeated.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from models.portraits.redraw import ROOT

HERE = Path(__file__).parents[1]
MODELS = ("unconditional", "unconditional-fair", "text-to-image")


def stages(renders: Path, work: Path, device: str) -> dict[str, list[str]]:
    """Return the stages in order: what each leaves in `work`, and its module with arguments.

    An unconditional model is the root: the others start from what it has learned of faces, which
    saves most of their training. What it redraws teaches the classifier, which then corrects what
    the unconditional ones are trained on.
    """
    data = [str(renders), str(work)]
    recipe = "models.portraits.train"
    on = ["--device", device]
    started = ["--start", str(work / ROOT / "checkpoint.pt")]
    return {
        "autoencoder/config.json": [f"{recipe}.autoencoder", *data],
        f"{ROOT}/pipeline/model_index.json": [
            f"{recipe}.diffusion", "unconditional", *data, *on, "--into", ROOT,
        ],
        f"redrawn-{renders.name}.pt": ["models.portraits.redraw", *data],
        "classifier/config.json": [f"{recipe}.classifier", *data, *on],
        "clip/open_clip_config.json": [f"{recipe}.clip", *data, *on],
        **{
            f"{name}/pipeline/model_index.json": [
                f"{recipe}.diffusion", name, *data, *on, *started,
            ]
            for name in MODELS
        },
    }  # fmt: skip


def publish(work: Path, to: Path = HERE) -> None:
    """Copy the trained models to the folders that the package ships."""
    for name in MODELS:
        shutil.copytree(work / name / "pipeline", to / name, dirs_exist_ok=True)
    for name in ("classifier", "clip"):
        shutil.copytree(work / name, to / name, dirs_exist_ok=True)


def main() -> None:
    """Run what is not done yet, then publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("renders", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    for result, command in stages(options.renders, options.work, options.device).items():
        if not (options.work / result).exists():
            print(f"== {' '.join(command)}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", *command], check=True)
    publish(options.work)


if __name__ == "__main__":
    main()
