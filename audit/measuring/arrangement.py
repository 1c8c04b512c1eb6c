"""The tables of a run -> the groups that are measured."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from audit.errors import InputError
from audit.measuring.groups import Group
from audit.measuring.votes import Requests, cast
from audit.spec.benchmark import Benchmark
from audit.statistics.designs import Design, design

BASELINE = "none"
"""Arm that others are compared with in tables at hand, where there is one so called."""


def arms_of(images: pd.DataFrame, labels: pd.DataFrame, benchmark: Benchmark) -> list[str]:
    """Return the arms that there are, the baseline first: that of the spec, or `none`.

    Arms that no spec names come by name: the order of the rows of a table means nothing.
    """
    planned = [arm.label for arm in benchmark.mitigations] if benchmark.model else [BASELINE]
    seen = {*images["arm"], *labels["arm"]}
    return [*(arm for arm in planned if arm in seen), *sorted(seen.difference(planned))]


def groups_of(
    labels: pd.DataFrame, requests: Requests, benchmark: Benchmark, arms: Sequence[str]
) -> list[Group]:
    """Return a group for each arm, probe and attribute: arms in order, then as probes come."""
    classes = {name: benchmark.classes_of(name) for name in benchmark.attributes}
    sampled = design_of(requests, benchmark)
    order = {arm: i for i, arm in enumerate(arms)}
    votes = sorted(cast(labels, requests, classes), key=lambda vote: order[vote.arm])
    found = []
    for vote in votes:
        wanted = benchmark.target_of(vote.attribute)
        target = np.array([wanted[name] for name in vote.classes])
        found.append(Group(vote, requests, sampled, target, benchmark.statistics.level))
    return found


def design_of(requests: Requests, benchmark: Benchmark) -> Design:
    """Return what was sampled independently of what."""
    return design(
        benchmark.statistics.inference,
        prompts=len(requests.prompts),
        shared_seeds=benchmark.model is not None and benchmark.seed_scheme == "shared",
    )


def refuse_copies(images: pd.DataFrame, arms: Sequence[str], benchmark: Benchmark) -> None:
    """Refuse arms at hand that are the same files; a mitigation may well change nothing."""
    if benchmark.model is not None or "sha256" not in images:
        return
    seen: dict[tuple[str, ...], str] = {}
    for arm in arms:
        files = tuple(sorted(images.loc[images["arm"] == arm, "sha256"].dropna()))
        if files and files in seen:
            raise InputError(f"arms {seen[files]!r} and {arm!r} are the same images")
        seen[files] = arm


def texts_of(images: pd.DataFrame, requests: Requests, benchmark: Benchmark) -> dict[str, str]:
    """Return the text of every prompt, by id, in order."""
    texts = {prompt.id: prompt.text for prompt in benchmark.prompts}
    if "prompt" in images:
        texts = dict(zip(images["prompt_id"], images["prompt"], strict=True)) | texts
    return {name: str(texts.get(name, "")) for name in requests.prompts}


def one_each(groups: Iterable[Group]) -> list[Group]:
    """Return one group for each probe and attribute: that of the baseline."""
    found: dict[tuple[str, str], Group] = {}
    for group in groups:
        found.setdefault((group.votes.probe, group.votes.attribute), group)
    return list(found.values())
