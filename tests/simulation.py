"""Simulated audits with planted shares: how often do intervals hold the truth?

`python tests/simulation.py` runs 2,000 audits for every setting and writes `tests/coverage.md`.
Images are drawn from a world whose shares are known, read by a probe whose errors are known, and
measured by the code that measures real runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from audit.statistics.correction import Calibration, correct
from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import share_interval
from audit.statistics.pairs import compare
from audit.statistics.shares import Shares, from_counts, one_hot, shares

SKEWED = {
    2: (0.7, 0.3),
    3: (0.6, 0.25, 0.15),
    4: (0.4, 0.3, 0.2, 0.1),
    7: (0.4, 0.15, 0.1, 0.1, 0.1, 0.1, 0.05),
}
LOPSIDED = {
    2: (0.92, 0.08),
    3: (0.85, 0.1, 0.05),
    4: (0.7, 0.1, 0.1, 0.1),
    7: (0.7, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05),
}
CLASSES = (2, 3, 4, 7)


def fair(k):
    return (1 / k,) * k


@dataclass(frozen=True)
class Setting:
    """A world and a design; `other` are the shares of the second arm of a pair."""

    kind: str
    p: tuple[float, ...]
    n: int
    other: tuple[float, ...] | None = None
    labels: int = 200

    def __str__(self):
        shares = "/".join(f"{x:.2f}".removeprefix("0") for x in self.p[:3])
        other = f"->{self.other[0]:.2f}" if self.other else ""
        return f"{self.kind} K={len(self.p)} n={self.n} p={shares}{other}"


@dataclass(frozen=True)
class Row:
    """How often an interval held the truth in one setting, over `audits` audits."""

    setting: Setting
    quantity: str
    coverage: float
    audits: int
    conservative: bool = False
    """Known to hold the truth more often than asked: only the lower end is checked."""


def settings() -> list[Setting]:
    """All settings, 2,000 audits each when the table is made."""
    single = [
        Setting("independent", p, n)
        for k in CLASSES
        for p in (fair(k), SKEWED[k], LOPSIDED[k])
        for n in (50, 200, 2000)
    ]
    clustered = [
        Setting(kind, p, 20 * images)
        for kind, images in (("prompts", 20), ("seeds", 20), ("stratified", 10))
        for k in CLASSES
        for p in (fair(k), SKEWED[k])
    ]
    corrected = [
        Setting("corrected", p, n)
        for k in CLASSES
        for p in (fair(k), SKEWED[k])
        for n in (50, 200, 2000)
    ]
    paired = [
        Setting("paired", before, n, after)
        for k in CLASSES
        for before, after in ((SKEWED[k], fair(k)), (LOPSIDED[k], SKEWED[k]), (fair(k), fair(k)))
        for n in (50, 200, 2000)
    ]
    return single + clustered + corrected + paired


def quick() -> list[Setting]:
    """One setting for each kind of interval and number of classes, for the ordinary suite."""
    chosen = [Setting("independent", SKEWED[k], 50) for k in CLASSES]
    chosen += [Setting("independent", fair(k), 100) for k in (2, 4)]
    chosen += [Setting(kind, fair(4), 400) for kind in ("prompts", "seeds")]
    chosen += [Setting("corrected", SKEWED[k], 200) for k in (2, 3)]
    chosen += [Setting("paired", SKEWED[k], 100, fair(k)) for k in (2, 4)]
    return chosen


def simulate(setting: Setting, audits: int, seed: int = 0) -> list[Row]:
    """Audit the world of a setting many times."""
    key = [seed, *setting.kind.encode(), setting.n, *(int(x * 100) for x in setting.p)]
    rng = np.random.default_rng(key)
    if setting.kind == "independent":
        found = from_counts(rng.multinomial(setting.n, setting.p, audits))
        return _single(setting, found, np.array(setting.p))
    if setting.kind == "corrected":
        return _corrected(setting, audits, rng)
    if setting.kind == "paired":
        return _paired(setting, audits, rng)
    return _single(setting, *_clustered(setting, audits, rng))


def _single(setting, found, truth):
    even = np.full(len(truth), 1 / len(truth))
    measured, each = discrepancy(found, even), share_interval(found)
    audits = len(found.p)
    distance = np.linalg.norm(truth - even)
    rows = [
        Row(setting, "shares", _held(each.low, truth, each.high), audits),
        Row(setting, "FD", _held(measured.low, distance, measured.high), audits),
    ]
    if distance < 1e-9:
        rows.append(Row(setting, "fair called biased", float((measured.low > 0).mean()), audits))
    return rows


def _held(low, truth, high):
    return float(((low <= truth + 1e-9) & (truth <= high + 1e-9)).mean())


def _clustered(setting, audits, rng):
    """Draw images of 20 prompts whose logits scatter by prompt, by seed, or by a fixed list."""
    k, prompts = len(setting.p), 20 if len(setting.p) in (2, 4) else 21
    images = setting.n // 20
    base = np.log(setting.p)
    if setting.kind == "stratified":  # each class is favoured by as many prompts
        effects = np.stack([np.roll(np.linspace(1.5, 0, k), j) for j in range(prompts)])
        fixed = base + effects
        truth = special.softmax(fixed, axis=1).mean(axis=0)
    else:
        many = base + 1.2 * rng.standard_normal((400_000, k))
        truth = special.softmax(many, axis=1).mean(axis=0)
        truth = np.full(k, 1 / k) if len(set(setting.p)) == 1 else truth
    rows, columns = np.indices((prompts, images)).reshape(2, -1)
    found = []
    for _ in range(audits):
        if setting.kind == "prompts":
            logits = base + 1.2 * rng.standard_normal((prompts, 1, k))
        elif setting.kind == "seeds":
            logits = base + 1.2 * rng.standard_normal((1, images, k))
        else:
            logits = fixed[:, None, :]
        drawn = (logits + rng.gumbel(size=(prompts, images, k))).argmax(axis=-1)
        votes = one_hot(drawn.ravel(), k)
        found.append(shares(votes, prompts=rows, seeds=columns, design=setting.kind))
    return _stack(found), truth


def _stack(found):
    names = ("p", "cov", "n", "units", "df")
    arrays = {name: np.stack([getattr(one, name) for one in found]) for name in names}
    return Shares(**arrays, hard=found[0].hard)


def confusion(k):
    """A probe that is right nine times of ten in one class and eight in the others, unevenly."""
    wrong = np.linspace(0.1, 0.2, k)
    return np.eye(k) * (1 - wrong)[:, None] + (1 - np.eye(k)) * (wrong / (k - 1))[:, None]


def _corrected(setting, audits, rng):
    p, c = np.array(setting.p), confusion(len(setting.p))
    counts = rng.multinomial(setting.n, p @ c, audits)
    labels = np.stack([rng.multinomial(setting.labels, row, audits) for row in c], axis=1)
    held = [
        _held(found.low, p, found.high)
        for found in (
            correct(from_counts(one), Calibration(table)).interval
            for one, table in zip(counts, labels, strict=True)
        )
    ]
    return [Row(setting, "corrected shares", float(np.mean(held)), audits)]


def _paired(setting, audits, rng):
    """Both arms start from the same noise: correlated uniforms pick the class in either."""
    k = len(setting.p)
    before, after = np.array(setting.p), np.array(setting.other)
    even = np.full(k, 1 / k)
    change = ((after - even) ** 2).sum() - ((before - even) ** 2).sum()
    held, squares = [], []
    for _ in range(audits):
        shared = 0.8 * rng.standard_normal(setting.n)
        codes = [
            np.searchsorted(
                p.cumsum()[:-1], special.ndtr(shared + 0.6 * rng.standard_normal(setting.n))
            )
            for p in (before, after)
        ]
        found = compare(one_hot(codes[0], k), one_hot(codes[1], k), even)
        held.append(_held(found.interval.low, after - before, found.interval.high))
        squares.append(_held(found.squared.low, change, found.squared.high))
    nothing = setting.p == setting.other == fair(k)
    return [
        Row(setting, "change of shares", float(np.mean(held)), audits),
        Row(setting, "change of FD²", float(np.mean(squares)), audits, conservative=nothing),
    ]


def table(rows: Iterator[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "# How often 95 % intervals hold the truth",
        "",
        "Made by `python tests/simulation.py`; do not edit. `n` is the number of images;",
        "clustered designs have 20 or 21 prompts. A change between two fair arms is known to be",
        "held more often than asked; a fair model should be called biased at most one time in 20.",
        "",
        "| design | K | n | shares | quantity | rate | audits |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        s = row.setting
        planted = " ".join(f"{x:.2f}" for x in s.p)
        if s.other:
            planted += " to " + " ".join(f"{x:.2f}" for x in s.other)
        lines.append(
            f"| {s.kind} | {len(s.p)} | {s.n} | {planted} | {row.quantity} "
            f"| {row.coverage:.3f} | {row.audits} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    results = (row for setting in settings() for row in simulate(setting, 2000))
    Path(__file__).with_name("coverage.md").write_text(table(results), encoding="utf-8")
