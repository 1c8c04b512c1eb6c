"""Drawing with the shipped models, as an audit draws: by the suite's own pipeline and steps."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from audit.images.rewriting import with_article
from audit.types import Images, Request
from models.diffusion import DiffusionModel, diffusion
from models.portraits import captions
from models.portraits.truth import NOMINAL, occupations, read

HERE = Path(__file__).parent
STEPS = {"unconditional": 20, "unconditional-fair": 20, "text-to-image": 16}
GUIDANCE = 2.0
EXPLICIT = "a photo of {} working as {}"
SPACING = 1_000_003
"""Between the seeds of one image and the next."""

Person = dict[str, str]
"""Gender, age class, race and occupation of whom a prompt asks for."""


def trained(name: str) -> bool:
    """Whether the weights of a model are there."""
    return (HERE / name / "model_index.json").exists()


def draw(
    name: str, prompts: Sequence[tuple[str, str]], *, first: int = 1, batch: int = 32
) -> Images:
    """Draw an image for each (prompt id, prompt) with the embedded model `name`.

    Args:
        name: Of a folder beside this file.
        prompts: One an image; empty for the models without a text encoder.
        first: Number of the first image: images of other numbers have other seeds.
        batch: Images drawn at once.
    """
    requests = [
        Request(prompt_id, prompt, i, SPACING * (i + first), STEPS[name], GUIDANCE)
        for i, (prompt_id, prompt) in enumerate(prompts)
    ]
    parts = [
        _model(name).generate(requests[i : i + batch]).images
        for i in range(0, len(requests), batch)
    ]
    return np.concatenate(parts)


def people(count: int, seed: int) -> Iterator[Person]:
    """Yield `count` people, evenly over gender, age class and race, at jobs drawn by `seed`."""
    classes = read()["classes"]
    kinds = list(product(*(classes[attribute] for attribute in NOMINAL)))
    jobs = np.random.default_rng(seed).choice(list(occupations()), count)
    for i, job in enumerate(jobs):
        yield dict(zip(NOMINAL, kinds[i % len(kinds)], strict=True)) | {"occupation": str(job)}


def prompt_for(person: Person) -> str:
    """Return a prompt that names all of a person: "a photo of an old Black woman working as …"."""
    looks = f"{captions.AGES[person['age']][0]} {person['race']} {person['gender']}"
    job = occupations()[person["occupation"]].noun
    return EXPLICIT.format(with_article(looks), with_article(job))


@cache
def _model(name: str) -> DiffusionModel:
    return diffusion(pipeline=f"portraits/{name}")
