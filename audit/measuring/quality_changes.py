"""How quality changes from the baseline to another arm, and where its numbers mislead."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from audit.measuring.comparisons import two_sided
from audit.measuring.groups import number
from audit.measuring.quality import Layout, each_image, mean_of, usable, wanted
from audit.statistics.changes import tost
from audit.storage.results import Difference, Warned
from audit.types import Metric

FEWEST_FOR_FID = 2048
"""Images below which a Fréchet distance is not to be compared with published ones."""


def compare_quality(
    layout: Layout,
    metrics: Sequence[Metric],
    listed: Collection[str],
    margins: Mapping[str, float],
) -> Iterator[Difference]:
    """Yield the paired change of every metric that has a value for each image.

    Args:
        layout: Of one encoder.
        metrics: All of them.
        listed: Names of those that are wanted.
        margins: By metric: a change within it is called equivalent where both one-sided tests
            say so, each at 1 - level.
    """
    for metric in metrics:
        alone = metric.interval == "mean" and "pairs" not in metric.columns
        if not alone or not wanted(metric, layout, listed):
            continue
        first = each_image(layout, metric, layout.baseline)
        for arm in list(layout.arms)[1:]:
            second = each_image(layout, metric, arm)
            if first is None or second is None:
                continue
            paired = layout.requests.paired(layout.baseline, arm)
            change = np.where(paired, second - first, np.nan)
            found = mean_of(layout, change, arm)
            margin = margins.get(metric.name)
            p_margin = None if margin is None else number(tost(found, margin))
            yield Difference(
                metric=f"{metric.name}@{layout.embeddings.encoder}",
                arm=arm,
                baseline=layout.baseline,
                value=number(found.value),
                ci_low=number(found.low),
                ci_high=number(found.high),
                level=found.level,
                n=found.n,
                dropped=int(paired.sum()) - found.n,
                p=two_sided(found),
                method=f"paired-{found.method}" if found.n else "not measured: no pair",
                direction=metric.better,
                equivalent=None if p_margin is None else p_margin <= 1 - layout.level,
                margin=margin,
                p_margin=p_margin,
                extractor=layout.embeddings.extractor,
            )


def warn_quality(layout: Layout, listed: Collection[str]) -> Iterator[Warned]:
    """Say where there are too few images for a Fréchet distance, or unlike numbers of them."""
    if "fid" not in {name.partition("@")[0] for name in listed}:
        return
    encoder, reference = layout.embeddings.encoder, layout.embeddings.reference
    counts = {arm: len(usable(x)) for arm, x in layout.arms.items()}
    fewest = max(FEWEST_FOR_FID, layout.embeddings.images.shape[1])
    n = min(*counts.values(), len(reference) if reference is not None else fewest, fewest)
    if n < fewest:
        message = f"fid@{encoder} of {n} images is biased upwards ({fewest} are advised): read kid"
        yield Warned(code="few_images", message=message)
    if len(set(counts.values())) > 1:
        message = f"fid@{encoder} compares arms of {min(counts.values())} to "
        message += f"{max(counts.values())} images: fewer images alone raise it"
        yield Warned(code="unequal_images", message=message)
