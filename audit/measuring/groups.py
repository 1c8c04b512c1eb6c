"""Shares of one arm, probe and attribute: over all prompts and of each, hard and soft."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from audit.measuring.bounds import Bounds, from_discrepancy, measured
from audit.measuring.votes import Requests, Votes
from audit.statistics.decomposition import Decomposition, decompose_votes
from audit.statistics.designs import Codes, Design
from audit.statistics.discrepancy import Discrepancy, discrepancy, distance
from audit.statistics.inversion import Inverted
from audit.statistics.shares import Shares, shares, shares_by
from audit.types import Floats, Measurement, Metric

NOTHING_READ = "not measured: the probe read no image"
INFINITE = "infinite: a class that was wanted with share 0 was drawn"
REST = "rest"
"""Combinations of attributes of which too few are expected to speak of each alone."""
ONE_READING = "one reading has no spread; an interval needs two"


@dataclass(frozen=True)
class Scored:
    """A measurement, and what a gate needs to decide on it."""

    measurement: Measurement
    bounds: Bounds | None = None
    """None where no interval is known."""


@dataclass(frozen=True)
class Estimates:
    """Shares of a group."""

    pooled: Shares
    by_prompt: Shares
    """One leading dimension, prompts in order."""
    target: Floats
    level: float
    split: Decomposition
    """How the mean square of the prompts splits."""

    def measured(self, metric: Metric, *, by_prompt: bool) -> Inverted:
        """Return a metric of shares with interval and null, made once."""
        key = (metric.name, by_prompt)
        if key not in self._measured:
            if metric.interval == "debiased" or metric.function is distance:
                # One inversion serves every form of the discrepancy.
                shared = self._each if by_prompt else self.pooled_discrepancy
                self._measured[key] = from_discrepancy(metric, shared)
            else:
                found = self.by_prompt if by_prompt else self.pooled
                self._measured[key] = measured(metric, found, self.target, self.level)
        return self._measured[key]

    @cached_property
    def _measured(self) -> dict[tuple[str, bool], Inverted]:
        return {}

    @cached_property
    def pooled_discrepancy(self) -> Discrepancy:
        """Over all prompts."""
        return discrepancy(self.pooled, self.target, self.level)

    @cached_property
    def _each(self) -> Discrepancy:
        return discrepancy(self.by_prompt, self.target, self.level)


@dataclass(frozen=True)
class Group:
    """One arm, probe and attribute."""

    votes: Votes
    requests: Requests
    design: Design
    target: Floats
    level: float

    @property
    def about(self) -> dict[str, Any]:
        """What the group's measurements are about."""
        votes = self.votes
        return {"arm": votes.arm, "probe": votes.probe, "attribute": votes.attribute}

    @cached_property
    def hard(self) -> Estimates:
        """From whole votes."""
        return self._estimate(self.votes.hard)

    @cached_property
    def soft(self) -> Estimates | None:
        """From probabilities; None where there are none."""
        return None if self.votes.soft is None else self._estimate(self.votes.soft)

    @property
    def seeds(self) -> Codes:
        """[R] code of the noise that a request starts from."""
        return self.requests.noise(self.votes.arm)

    def _estimate(self, votes: Floats) -> Estimates:
        prompt = self.requests.prompt
        pooled = shares(votes, prompts=prompt, seeds=self.seeds, design=self.design)
        by_prompt = shares_by(votes, prompt, len(self.requests.prompts))
        split = decompose_votes(
            votes, by_prompt, self.target, prompts=prompt, seeds=self.seeds, design=self.design
        )
        return Estimates(pooled, by_prompt, self.target, self.level, split)


def number(value: Floats | float) -> float | None:
    """Return a number as `results.json` holds it: None for NaN and for what is infinite."""
    return float(value) if np.isfinite(value) else None
