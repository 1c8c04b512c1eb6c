"""Pack the reference sets: what FID and KID compare generated portraits with.

    python -m models.portraits.reference HELD_OUT PLANTED

HELD_OUT is a balanced set of renders and PLANTED one drawn with the planted bias, neither from a
seed that was trained on. Each is packed in one Parquet file at model resolution, images beside
labels. Two more show what generated images look like, with labels that are known, to measure the
errors of probes on: some of HELD_OUT as the unconditional model redraws them, and people that the
text-to-image model draws because a prompt names them.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from models.portraits.dataset import Renders, load
from models.portraits.drawing import draw, people, prompt_for
from models.portraits.redraw import redraw
from models.portraits.train.planting import decoded, encoded
from models.portraits.truth import COLUMNS, population, weights
from probes.portraits import portraits

FOLDER = Path(__file__).with_name("reference")
COUNT = 2000
REDRAWN = 1200
FIRST = range(12, 13)
"""Step of 20 from which they are redrawn: half of the signal is left there."""
ASKED = 792
"""Three of each gender, age class, race and occupation, on average."""
FIRST_ASKED = 100_000
"""Number of the first: the evaluation draws others."""
QUALITY = 95
"""Of WebP: about 2.5 kB an image of 64 px."""
KEPT = ["gender", "age", "age_class", "race", "monk", "occupation"]
"""Labels that are packed, as far as they are known."""


def balanced(renders: Renders, count: int = COUNT) -> Renders:
    """Choose renders so that gender, age class and race come out as even as the set allows.

    Drawn without replacement, so no render is there twice.
    """
    rng = np.random.default_rng(0)
    weight = weights(renders.labels, population("unconditional-fair"))
    return renders.take(rng.choice(len(renders), count, replace=False, p=weight / weight.sum()))


def pack(renders: Renders, path: Path) -> None:
    """Write images as WebP and their labels to one Parquet file."""
    cells = []
    for image in renders.images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "WEBP", quality=QUALITY, method=6)
        cells.append(buffer.getvalue())
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"image": cells}).join(renders.labels.filter(KEPT))
    table.to_parquet(path, index=False, compression="zstd")


def redrawn(renders: Renders) -> Renders:
    """Return renders as the shipped unconditional model redraws them."""
    pipe = DiffusionPipeline.from_pretrained(FOLDER.with_name("unconditional")).to(torch.float32)
    latents = encoded(renders.images, pipe.vqvae)
    drawn = redraw(pipe, latents, FIRST, torch.Generator().manual_seed(0))
    return Renders(decoded(drawn, pipe.vqvae), renders.labels)


def asked(count: int = ASKED) -> Renders:
    """Return whole drawings of people whom a prompt names, with what it names.

    What a model redraws keeps its label only while much of the render is left, and a probe that
    errs more the more is drawn shows less of its errors there. A prompt is not always obeyed: a
    label is blank where the classifier sees another class.
    """
    wanted = list(people(count, seed=11))
    prompts = [(f"asked-{i}", prompt_for(person)) for i, person in enumerate(wanted)]
    images = draw("text-to-image", prompts, first=FIRST_ASKED)
    seen = portraits().read(images).probabilities
    labels = pd.DataFrame(wanted)
    for attribute, shown in seen.items():
        classes = np.array(portraits().classes[attribute])
        labels[attribute] = labels[attribute].where(classes[shown.argmax(1)] == labels[attribute])
    return Renders(images, labels.rename(columns=COLUMNS))


def main() -> None:
    """Pack all sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("held_out", type=Path)
    parser.add_argument("planted", type=Path)
    options = parser.parse_args()
    even = balanced(load(options.held_out))
    pack(even, FOLDER / "balanced.parquet")
    pack(redrawn(even.take(np.arange(REDRAWN))), FOLDER / "redrawn.parquet")
    pack(asked(), FOLDER / "asked.parquet")
    planted = load(options.planted)
    pack(planted.take(np.arange(min(COUNT, len(planted)))), FOLDER / "planted.parquet")


if __name__ == "__main__":
    main()
