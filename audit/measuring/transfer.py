"""Whether an error card was made on images like those audited: what can be seen of it.

A correction assumes that the probe errs on the images audited as it did on those of the card. The
mix of classes may differ, so what the probe shows of itself - how often it cannot read, how sure
it is - must lie between what it shows on the single classes of the card. Where it does not, the
images are others, and so may the errors be. Where it does, nothing is proved.
"""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from audit.measuring.error_cards import Confusion
from audit.measuring.groups import Group
from audit.storage.results import Warned
from audit.types import State

UNLIKE = 0.001
"""One-sided p below which the images are said to be unlike those of the card."""
LEAST = 0.02
"""Difference of rates, or of mean probabilities, below which no correction would show it."""
READ = (State.OK,)
UNREAD = (State.NO_FACE, State.MULTI_FACE, State.ABSTAIN)


def warn_transfer(group: Group, confusion: Confusion) -> Iterator[Warned]:
    """Yield a warning for each way in which a probe reads other images than those of its card."""
    votes = group.votes
    for said in (_unread(group, confusion), _sureness(group, confusion)):
        if said:
            message = (
                f"{votes.attribute} by {votes.probe}: {said}: the images are unlike those of its "
                "error card, and its errors may be too; calibrate on images like these, or give "
                "labels of `people`"
            )
            yield Warned(code="card_of_other_images", message=message, arm=votes.arm)


def _unread(group: Group, confusion: Confusion) -> str | None:
    states = group.votes.states
    missing, read = (int(np.isin(states, names).sum()) for names in (UNREAD, READ))
    n = missing + read
    lost = np.array(confusion.missing)
    total = np.array(confusion.counts).sum(axis=1) + lost
    if n == 0 or total.min() == 0:
        return None
    rate, rates = missing / n, lost / total
    k = int(rates.argmax() if rate > rates.max() else rates.argmin())
    if rates.min() <= rate <= rates.max() or abs(rate - rates[k]) < LEAST:
        return None
    table = np.array([[missing, read], [lost[k], total[k] - lost[k]]])
    if float(stats.fisher_exact(table).pvalue) >= 2 * UNLIKE:
        return None
    between = f"{rates.min():.1%} to {rates.max():.1%} of those of a class of its card"
    return f"it could not read {rate:.1%} of the images, and {between}"


def _sureness(group: Group, confusion: Confusion) -> str | None:
    soft, card = group.votes.soft, confusion.confidence
    if soft is None or card is None:
        return None
    sure = soft.max(axis=1)
    sure = sure[~np.isnan(sure)]
    if len(sure) < 2:
        return None
    means, spreads = np.array(card).T
    mean = float(sure.mean())
    k = int(means.argmax() if mean > means.max() else means.argmin())
    if means.min() <= mean <= means.max() or abs(mean - means[k]) < LEAST:
        return None
    n = np.array(confusion.counts).sum(axis=1)[k]
    error = (sure.var(ddof=1) / len(sure) + spreads[k] ** 2 / n) ** 0.5
    if error > 0 and stats.norm.sf(abs(mean - means[k]) / error) >= UNLIKE:
        return None
    between = f"{means.min():.3f} to {means.max():.3f} on a class of its card"
    return f"its readings have a mean probability of {mean:.3f}, and {between}"
