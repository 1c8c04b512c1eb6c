"""What was sampled independently of what: the ways in which the images of a run can be drawn."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Design = Literal["iid", "stratified", "prompts", "seeds", "crossed"]
"""What was sampled independently of what.

* `iid`: single images; every image weighs the same.
* `stratified`: images within each prompt, the list of prompts being the population.
* `prompts`: prompts, the list being a sample of the prompts people type.
* `seeds`: seeds that every prompt shares, the list of prompts being the population.
* `crossed`: prompts and the seeds that they share.

In all but `iid` every prompt weighs the same, however many of its images could be read.
"""

CLUSTERED: tuple[Design, ...] = ("prompts", "seeds", "crossed")
"""Designs in which images of one prompt or seed go together."""


def design(inference: str, *, prompts: int, shared_seeds: bool) -> Design:
    """Return the design of a run.

    Args:
        inference: `fixed_prompts`, the list of prompts is the population, or
            `prompt_population`, it is a sample of the prompts that people type.
        prompts: how many there are.
        shared_seeds: whether image i of every prompt starts from the same noise.
    """
    if prompts < 2:
        return "iid"
    if inference == "prompt_population":
        return "crossed" if shared_seeds else "prompts"
    return "seeds" if shared_seeds else "stratified"


def units(sampled: Design, prompts: Codes, seeds: Codes) -> tuple[Codes, ...]:
    """Return in which ways images go together: by prompt [N], by seed [N], by both, by none."""
    ways: dict[Design, tuple[Codes, ...]] = {
        "prompts": (prompts,),
        "seeds": (seeds,),
        "crossed": (prompts, seeds),
    }
    return ways.get(sampled, ())
