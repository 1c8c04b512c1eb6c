"""How quality changes from the baseline to another arm, and where its numbers mislead."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from audit.measuring.comparisons import two_sided
from audit.measuring.groups import number
from audit.measuring.quality import Layout, each_image, mean_of, there, usable, wanted
from audit.measuring.votes import Matches
from audit.statistics.changes import tost
from audit.statistics.intervals import difference_of_means
from audit.storage.results import Difference, Warned
from audit.types import Metric

FEWEST_FOR_FID = 2048
"""Images below which a Fréchet distance is not to be compared with published ones."""
NO_IMAGE = "not measured: an arm has no usable image, or none with its partner"


def compare_quality(
    layout: Layout,
    metrics: Sequence[Metric],
    listed: Collection[str],
    margins: Mapping[str, float],
) -> Iterator[Difference]:
    """Yield the change of every metric that has a value for each image.

    Pair by pair where nearly all images have a partner, as shares are; else of two samples.

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
            matches = _matches(layout, arm)
            rows = matches.rows
            if rows.any():
                found = mean_of(layout, np.where(rows, second - first, np.nan), arm)
                lost = matches.there.any(axis=0).sum() - found.n
                method = f"paired-{found.method}"
            else:
                one, two = mean_of(layout, first, layout.baseline), mean_of(layout, second, arm)
                found, method = difference_of_means(one, two), matches.why_not
                lost = (matches.there & np.isnan([first, second])).any(axis=0).sum()
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
                dropped=int(lost),
                p=two_sided(found),
                method=method if found.n else NO_IMAGE,
                direction=metric.better,
                equivalent=None if p_margin is None else p_margin <= 1 - layout.level,
                margin=margin,
                p_margin=p_margin,
                extractor=layout.embeddings.extractor,
            )


def _matches(layout: Layout, arm: str) -> Matches:
    """Return which requests an arm shares with the baseline; one it drew is there, if unusable."""
    names = (layout.baseline, arm)
    drawn = [(layout.requests.seeds[name] >= 0) | there(layout.arms[name]) for name in names]
    return Matches.of(layout.requests, names, np.stack(drawn))


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
