"""How fast the statistics are: 12 arms, 150 prompts, 100,000 rows, intervals included.

`python benches/metric_speed.py` prints seconds of processor time and the peak of memory.
"""

import resource
import time

import numpy as np

from audit.metrics import fairness
from audit.metrics.evaluation import evaluate
from audit.statistics.changes import compare
from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import share_interval
from audit.statistics.shares import one_hot, shares, shares_by

ARMS, PROMPTS, ROWS = 12, 150, 100_000
ATTRIBUTES = {"gender": 2, "age": 3, "race": 4}
BATTERY = (fairness.PARITY_GAP, fairness.TV, fairness.KL, fairness.ENTROPY, fairness.HEIM)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what, work):
    start = time.process_time()
    found = work()
    print(f"{what:<42}{time.process_time() - start:7.2f} s{peak():8.0f} MB", flush=True)
    return found


def audit(classes, rng):
    images = ROWS // (ARMS * PROMPTS)
    arm, prompt, seed = np.indices((ARMS, PROMPTS, images)).reshape(3, -1)
    votes = one_hot(rng.integers(0, classes, len(arm)), classes)
    even = np.full(classes, 1 / classes)
    cells = timed(
        "  shares of every arm and prompt",
        lambda: shares_by(votes, arm * PROMPTS + prompt, ARMS * PROMPTS),
    )
    timed("  their intervals", lambda: share_interval(cells))
    timed("  their discrepancies, with intervals", lambda: discrepancy(cells, even))
    pooled = [
        shares(votes[arm == a], prompts=prompt[arm == a], seeds=seed[arm == a], design="seeds")
        for a in range(ARMS)
    ]
    timed("  pooled discrepancies", lambda: [discrepancy(p, even) for p in pooled])
    timed(
        f"  {len(BATTERY)} further forms, pooled",
        lambda: [evaluate(metric, p, even) for metric in BATTERY for p in pooled],
    )
    rows = {"prompts": prompt[arm == 0], "seeds": seed[arm == 0], "design": "seeds"}
    timed(
        "  paired with the baseline",
        lambda: [compare(votes[arm == 0], votes[arm == a], even, **rows) for a in range(1, ARMS)],
    )


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    begun = time.process_time()
    for name, number in ATTRIBUTES.items():
        print(name)
        audit(number, generator)
    print(f"{'altogether':<42}{time.process_time() - begun:7.2f} s{peak():8.0f} MB")
