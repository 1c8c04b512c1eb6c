"""Shares by prompt beside those of a reference population, such as labour statistics."""

from collections.abc import Iterator, Mapping

import numpy as np

from audit.measuring.groups import Group, Scored, number
from audit.metrics.stereotype import stereotype
from audit.types import Measurement


def measure_reference(
    group: Group, name: str, shares: Mapping[str, Mapping[str, float]], source: str
) -> Iterator[Scored]:
    """Yield how the share of every class follows a reference over prompts, `<measure>@<name>`.

    Args:
        group: One arm, probe and attribute.
        name: Of the reference, as it stands in the spec.
        shares: Of the reference, by prompt and class.
        source: Where they are from; stands as the extractor of every row.
    """
    by_prompt, prompts = group.hard.by_prompt, group.requests.prompts
    for k, class_ in enumerate(group.votes.classes):
        wanted = np.array([shares.get(prompt, {}).get(class_, np.nan) for prompt in prompts])
        found = stereotype(by_prompt.p[:, k], wanted, by_prompt.n, group.level)
        slope = found.slope
        plain = {
            "shift": (found.shift, "none"),
            "absolute_shift": (found.absolute_shift, "lower"),
            "amplification": (found.amplification, "lower"),
            "directed_amplification": (found.directed, "none"),
            "flipped": (float(found.flipped) if found.prompts else np.nan, "none"),
        }
        common = {"class_": class_, "extractor": source, "n": found.prompts, **group.about}
        method = f"over {found.prompts} prompts"
        if not found.prompts:
            method = "not measured: no prompt has a reference"
        for metric, (value, direction) in plain.items():
            yield Scored(
                Measurement(
                    metric=f"{metric}@{name}",
                    value=number(value),
                    method=method,
                    direction=direction,
                    **common,
                )
            )
        yield Scored(
            Measurement(
                metric=f"slope@{name}",
                value=number(slope.value),
                method=slope.method,
                direction="none",
                ci_low=number(slope.low),
                ci_high=number(slope.high),
                level=slope.level,
                **common,
            )
        )
