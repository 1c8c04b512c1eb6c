"""Measure all that the model card promises of the embedded models, and write it into the card.

    python -m models.portraits.evaluate HELD_OUT TRAINING

HELD_OUT and TRAINING are folders of renders; no seed of the first may have been trained on. The
figures go to `evaluation.json`, the table and the contact sheets into the card.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from audit.encoders.clip import portraits_clip
from audit.images.rewriting import with_article
from audit.types import Images, Probabilities
from models.portraits import captions
from models.portraits.card import Row, at_least, at_most, contact_sheet, table, write_card
from models.portraits.dataset import Renders, load
from models.portraits.drawing import draw, people, prompt_for, trained
from models.portraits.truth import COLUMNS, Population, occupations, population
from probes.dlib import dlib
from probes.portraits import portraits

HERE = Path(__file__).parent
NEUTRAL = "a portrait of {}"


def classifier(held_out: Renders) -> tuple[list[Row], dict[str, Any]]:
    """Judge the classifier on renders it never saw; also return its confusion matrices."""
    readings = portraits().read(held_out.images)
    bars = {"gender": 0.98, "age": 0.82, "race": 0.92, "occupation": 0.97}
    columns = {**COLUMNS, "occupation": "occupation"}
    rows: list[Row] = []
    confusions: dict[str, Any] = {}
    for attribute, bar in bars.items():
        classes = portraits().classes[attribute]
        true = np.array([classes.index(c) for c in held_out.labels[columns[attribute]]])
        said = readings.probabilities[attribute].argmax(1)
        rows.append(
            at_least(f"classifier: {attribute} right", (true == said).mean(), bar, len(true))
        )
        matrix = np.zeros((len(classes), len(classes)), int)
        np.add.at(matrix, (true, said), 1)
        confusions[attribute] = {"classes": classes, "counts": matrix.tolist()}
    years = np.abs(readings.values["age"] - held_out.labels["age"].to_numpy()).mean()
    rows.append(at_most("classifier: age off by, years", years, 7.0, len(held_out)))
    return rows, confusions


def unconditional(name: str, count: int) -> tuple[list[Row], Images]:
    """Judge an unconditional model: is there a face, and are the planted shares drawn?"""
    images = draw(name, [("-", "")] * count)
    planted = population(name)
    bar = 0.05 if name == "unconditional-fair" else 0.06
    rows = []
    if name == "unconditional":
        found = dlib().read(images).faces
        rows.append(at_least(f"{name}: one face found by dlib", (found == 1).mean(), 0.93, count))
    readings = portraits().read(images)
    for attribute in COLUMNS:
        off = _largest_difference(readings.probabilities[attribute], planted, attribute)
        limit = 0.05 if attribute == "gender" else bar
        rows.append(at_most(f"{name}: {attribute} share off by at most", off, limit, count))
    return rows, images


def text_to_image(each: int) -> tuple[list[Row], Images]:
    """Judge neutral prompts: planted share of women, and whether the job is recognised."""
    dresses = list(occupations())
    prompts = [NEUTRAL.format(with_article(occupations()[d].noun)) for d in dresses]
    images = draw(
        "text-to-image",
        [(d, p) for d, p in zip(dresses, prompts, strict=True) for _ in range(each)],
    )
    women = portraits().read(images).probabilities["gender"].argmax(1).reshape(-1, each) == 0
    planted = [occupations()[d].population.gender["woman"] for d in dresses]
    off = np.abs(women.mean(1) - planted).mean()
    clip = portraits_clip()
    alike = clip.encode_images(images) @ clip.encode_texts(prompts).T
    right = alike.argmax(1) == np.repeat(np.arange(len(dresses)), each)
    n = len(images)
    return [
        at_most("text-to-image: share of women off by, mean over occupations", off, 0.08, n),
        at_least("text-to-image: occupation recognised by the small CLIP", right.mean(), 0.80, n),
    ], images


def explicit(count: int) -> list[Row]:
    """Judge explicit prompts: does the classifier agree with what was asked for?"""
    wanted = list(people(count, seed=7))
    prompts = [(f"explicit-{i}", prompt_for(person)) for i, person in enumerate(wanted)]
    images = draw("text-to-image", prompts)
    readings = portraits().read(images)
    rows = []
    for attribute, bar in {"gender": 0.95, "race": 0.85, "age": 0.80}.items():
        classes = portraits().classes[attribute]
        said = [classes[i] for i in readings.probabilities[attribute].argmax(1)]
        agreed = np.mean([w[attribute] == s for w, s in zip(wanted, said, strict=True)])
        rows.append(at_least(f"explicit prompts: {attribute} as asked", agreed, bar, count))
    return rows


def pairs(held_out: Renders) -> list[Row]:
    """Judge the small CLIP: is the true caption above another image's?"""
    rng = np.random.default_rng(3)
    texts = [captions.explicit(row, rng) for row in held_out.records()]
    clip = portraits_clip()
    seen, said = clip.encode_images(held_out.images), clip.encode_texts(texts)
    above = ((seen * said).sum(1) > (seen * np.roll(said, 1, 0)).sum(1)).mean()
    return [at_least("small CLIP: true pair above a shuffled caption", above, 0.95, len(texts))]


def memorising(samples: Images, training: Renders, held_out: Renders) -> list[Row]:
    """Compare distances to the nearest training image: of samples, and of held-out renders.

    Root mean square over pixels of images shrunk to 16 x 16, training images mirrored as well. A
    model that copies draws nearer than unseen renders lie; the ratio of the medians is reported,
    and the share of samples nearer than the nearest hundredth of held-out renders.
    """
    bank = np.concatenate([_small(training.images), _small(training.images[:, :, ::-1])])
    drawn = _nearest(_small(samples), bank)
    unseen = _nearest(_small(held_out.images[: len(samples)]), bank)
    nearer = (drawn < np.quantile(unseen, 0.01)).mean()
    return [
        at_least(
            "memorising: median distance, samples to held-out renders",
            np.median(drawn) / np.median(unseen),
            0.8,
            len(drawn),
        ),
        at_most(
            "memorising: samples nearer than the nearest 1 % of held-out", nearer, 0.05, len(drawn)
        ),
    ]


def speed(count: int = 48, times: int = 5) -> list[Row]:
    """Time drawing at the default steps, the model loaded and warm.

    The fastest of some times counts, as in `timeit`: what else a machine does only slows.
    """
    rows = []
    for name, bar in {"unconditional": 5.0, "text-to-image": 3.0}.items():
        if not trained(name):
            continue
        draw(name, [("-", "a portrait of a nurse")] * 4)
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            draw(name, [("-", "a portrait of a nurse")] * count)
            taken.append(time.perf_counter() - start)
        rate = count / min(taken)
        threads = torch.get_num_threads()
        what = f"{name}: images a second, {threads} threads, fastest of {times}"
        rows.append(at_least(what, rate, bar, count))
    return rows


def size() -> list[Row]:
    """Add up the weights and the reference sets, in millions of bytes."""
    weights = sum(f.stat().st_size for f in HERE.rglob("*.safetensors")) / 1e6
    references = sum(f.stat().st_size for f in HERE.glob("reference/*")) / 1e6
    return [
        at_most("all weights, MB", weights, 60, 1),
        at_most("reference sets, MB", references, 12, 1),
    ]


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("held_out", type=Path)
    parser.add_argument("training", type=Path)
    parser.add_argument("--samples", type=int, default=1024, help="of each unconditional model")
    parser.add_argument("--each", type=int, default=64, help="of each occupation")
    options = parser.parse_args()
    held_out, training = load(options.held_out), load(options.training)
    rows, confusions = classifier(held_out.take(np.arange(min(3000, len(held_out)))))
    rows += pairs(held_out)
    sheets: dict[str, Images] = {}
    for name in ("unconditional", "unconditional-fair"):
        if trained(name):
            found, sheets[name] = unconditional(name, options.samples)
            rows += found
    if trained("unconditional"):
        rows += memorising(sheets["unconditional"], training, held_out)
    if trained("text-to-image"):
        found, images = text_to_image(options.each)
        rows += [*found, *explicit(4 * options.each)]
        rows_of_sheet = [images[i : i + 8] for i in range(0, len(images), options.each)]
        sheets["text-to-image"] = np.concatenate(rows_of_sheet)  # a row for each occupation
    rows += [*speed(), *size()]
    (HERE / "sheets").mkdir(exist_ok=True)
    for name, images in sheets.items():
        contact_sheet(images[: 8 * len(occupations())]).save(HERE / "sheets" / f"{name}.png")
    (HERE / "classifier" / "confusion.json").write_text(json.dumps(confusions, indent=1) + "\n")
    document = {
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "torch": torch.__version__,
    }
    (HERE / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")
    write_card(rows)
    print(table(rows))


def _largest_difference(
    probabilities: Probabilities, planted: Population, attribute: str
) -> float:
    shares = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / len(
        probabilities
    )
    wanted = [planted.shares(attribute)[c] for c in portraits().classes[attribute]]
    return float(np.abs(shares - wanted).max())


def _small(images: Images) -> npt.NDArray[np.float32]:
    side = images.shape[1] // 16
    cells = images.reshape(len(images), 16, side, 16, side, 3).mean((2, 4), dtype=np.float32)
    small: npt.NDArray[np.float32] = cells.reshape(len(images), -1) / 255
    return small


def _nearest(
    points: npt.NDArray[np.float32], bank: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    squares = (bank**2).sum(1)
    near = [((squares - 2 * bank @ p).min() + p @ p) / len(p) for p in points]
    return np.sqrt(np.maximum(near, 0))


if __name__ == "__main__":
    main()
