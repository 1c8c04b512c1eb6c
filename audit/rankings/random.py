"""The control: another ranking's effects, handed to latents that fire as much."""

from collections.abc import Iterator

import numpy as np

from audit.features.codes import Ranking, StepCodes
from audit.rankings.integrated_gradients import integrated_gradients
from audit.types import Floats

_NEIGHBOURS = 32
"""Latents that swap effects with one another: neighbours in activation mass."""


def random(*, seed: int = 0) -> Ranking:
    """Rank latents at random, so that the found set has the activation mass of a real one.

    The effects of integrated gradients are shuffled among latents of like mass; dead latents keep
    none.
    """
    effects_of = integrated_gradients()

    def rank(codes: Iterator[StepCodes]) -> Floats:
        """Return the effects [K, L] of integrated gradients, at other latents of like mass."""
        mass = np.zeros(0)

        def weighed() -> Iterator[StepCodes]:
            nonlocal mass
            for batch in codes:
                z = batch.latents
                fired = z.sums(z.value, np.zeros_like(z.image), 1)[0]
                mass = mass + fired if mass.size else fired
                yield batch

        effects = effects_of(weighed())
        order = np.argsort(mass, kind="stable")
        order = order[mass[order] > 0]
        draw = np.random.default_rng(seed)
        shuffled = np.zeros_like(effects)
        for start in range(0, len(order), _NEIGHBOURS):
            group = order[start : start + _NEIGHBOURS]
            shuffled[:, group] = effects[:, draw.permutation(group)]
        return shuffled

    return rank
