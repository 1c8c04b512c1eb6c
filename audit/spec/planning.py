"""What a benchmark will draw: the same requests for every arm, each with a seed of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from audit.spec.benchmark import Benchmark
from audit.spec.prompts import Prompt
from audit.types import Request

SCHEME = "v1"
CLIP_TOKENS = 77
"""Of which two mark start and end."""
UNCONDITIONAL = Prompt.model_construct(id="-", text="", values={}, asks={})
"""Stands for the absence of a prompt."""
EVERY = "*"
"""Takes the place of the prompt id where prompts share their noise."""


@dataclass(frozen=True)
class Plan:
    """The work of one benchmark."""

    prompts: tuple[Prompt, ...]
    requests: tuple[Request, ...]
    """Of one arm; every arm draws the same."""
    arms: tuple[str, ...]

    @property
    def images(self) -> int:
        """Images over all arms."""
        return len(self.requests) * len(self.arms)


@dataclass(frozen=True)
class Estimate:
    """What is left of a plan, from rates that the caller has measured or assumes."""

    images: int
    cached: int
    seconds: float
    bytes: float


def estimate(
    plan: Plan, *, cached: int = 0, seconds_per_image: float, bytes_per_image: float
) -> Estimate:
    """Estimate time and disk of the images that the store lacks."""
    left = max(plan.images - cached, 0)
    return Estimate(plan.images, cached, left * seconds_per_image, left * bytes_per_image)


def long_prompts(plan: Plan) -> tuple[Prompt, ...]:
    """Return the prompts that CLIP text encoders surely cut: a word is a token or more."""
    return tuple(p for p in plan.prompts if len(p.text.split()) > CLIP_TOKENS - 2)


def plan(benchmark: Benchmark) -> Plan:
    """Lay out the requests of a benchmark, in the order of its prompts.

    A benchmark over images or labels at hand draws nothing; its plan is empty.
    """
    arms = tuple(arm.label for arm in benchmark.mitigations)
    if benchmark.model is None:
        return Plan((), (), ())
    model = benchmark.model_spec
    prompts: Sequence[Prompt] = benchmark.prompts or (UNCONDITIONAL,)
    count = benchmark.images_per_prompt if benchmark.prompts else benchmark.images
    assert isinstance(count, int), "the rules of a benchmark see to it"
    shared = benchmark.seed_scheme == "shared"
    asked = [benchmark.asked_of(attribute) for attribute in benchmark.attributes]
    requests = tuple(
        Request(
            prompt_id=prompt.id,
            prompt=prompt.text,
            index=index,
            seed=seed(benchmark.seed, EVERY if shared else prompt.id, index),
            steps=model.steps,
            guidance_scale=model.guidance_scale if benchmark.prompts else 1.0,
            asks=tuple(by_prompt[prompt.id] for by_prompt in asked if prompt.id in by_prompt),
        )
        for prompt in prompts
        for index in range(count)
    )
    return Plan(tuple(benchmark.prompts), requests, arms)


def seed(base: int, prompt_id: str, index: int) -> int:
    """Return the seed of one image: a hash, so that neither order nor number of workers matters.

    >>> seed(0, "doctor", 0)
    7561501971119465061
    """
    text = "\x1f".join((SCHEME, str(base), prompt_id, str(index)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
