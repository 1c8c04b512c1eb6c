"""Votes: what one probe says of one attribute in one arm, in one order of requests for all arms.

Row i of every array is request i, so two arms are paired by standing in the same row; a request
that an arm or a probe lacks is a row of NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError, unknown
from audit.statistics.designs import Codes
from audit.statistics.shares import one_hot
from audit.types import Floats, State

ABSENT = ""
"""State of a request of which there is no row at all."""
ENOUGH = 0.95
"""Of the requests of either arm that must pair; pairs that are few are not those of the arm."""


@dataclass(frozen=True)
class Requests:
    """Every request of a run, sorted by prompt and index; R of them."""

    prompts: tuple[str, ...]
    """Ids, in the order of the benchmark."""
    prompt: Codes
    """[R] code into `prompts`."""
    index: Codes
    """[R]."""
    seeds: Mapping[str, Codes]
    """By arm: [R], -1 where it is not known; two arms pair where both know the same seed."""
    files: Mapping[str, Codes]
    """By arm: [R] code of the content of its image, -1 where it is not known."""

    def paired(self, first: str, second: str) -> npt.NDArray[np.bool_]:
        """Return [R] whether two arms drew a request from the same noise."""
        return _alike(self.seeds[first], self.seeds[second])

    def same(self, first: str, second: str) -> npt.NDArray[np.bool_]:
        """Return [R] whether two arms hold the same image of a request."""
        return _alike(self.files[first], self.files[second])

    def noise(self, arm: str) -> Codes:
        """Return [R] what a request starts from: its seed, or its index where no seed is known."""
        return np.where(self.seeds[arm] >= 0, self.seeds[arm], self.index)


@dataclass(frozen=True)
class Votes:
    """The readings of one probe, attribute and arm; rows as in `Requests`."""

    arm: str
    probe: str
    attribute: str
    classes: tuple[str, ...]
    hard: Floats
    """[R, K] whole votes; NaN where there is no reading."""
    soft: Floats | None
    """[R, K] probabilities; None where the table holds labels only."""
    states: npt.NDArray[np.str_]
    """[R]."""

    @property
    def codes(self) -> Codes:
        """[R] class codes, -1 where there is no reading."""
        missing = np.isnan(self.hard[:, 0])
        return np.where(missing, -1, np.where(missing[:, None], 0.0, self.hard).argmax(axis=1))


@dataclass(frozen=True)
class Matches:
    """Which requests of two arms were drawn from the same noise."""

    there: npt.NDArray[np.bool_]
    """[2, R] whether the first arm, and whether the second, has a request."""
    alike: npt.NDArray[np.bool_]
    """[R] whether both have it from the same noise."""

    @classmethod
    def of(
        cls, requests: Requests, arms: tuple[str, str], there: npt.NDArray[np.bool_]
    ) -> "Matches":
        """Return the matches of two arms that have the requests `there` [2, R]."""
        return cls(there, np.asarray(requests.paired(*arms) & there.all(axis=0)))

    @property
    def rows(self) -> npt.NDArray[np.bool_]:
        """[R] the requests that are compared pair by pair; none where too few have a partner."""
        return np.asarray(self.alike & (self.alike.sum() >= ENOUGH * self._most))

    @property
    def why_not(self) -> str:
        """Say why two arms are compared as two samples."""
        shared = int(self.alike.sum())
        few = f"the arms share the seeds of {shared} of {self._most} requests"
        return f"unpaired: {few if shared else 'the arms share no seeds'}"

    @property
    def _most(self) -> int:
        return int(self.there.sum(axis=1).max())


def arrange(
    images: pd.DataFrame, labels: pd.DataFrame, prompts: Sequence[str], arms: Sequence[str]
) -> Requests:
    """Lay out the requests of a run.

    Args:
        images: columns arm, prompt_id, index and, where they are known, seed and sha256.
        labels: columns arm, prompt_id and index.
        prompts: ids known beforehand, in order; others are appended as they appear.
        arms: names, the baseline first.
    """
    columns = ["prompt_id", "index"]
    keys = pd.concat([images[columns], labels[columns]]).drop_duplicates()
    order = {name: i for i, name in enumerate(dict.fromkeys([*prompts, *keys["prompt_id"]]))}
    keys = keys.assign(prompt=keys["prompt_id"].map(order)).sort_values(["prompt", "index"])
    prompt, index = (keys[column].to_numpy(np.int64) for column in ("prompt", "index"))
    bare = Requests(tuple(order), prompt, index, {}, {})
    seeds, files = ({arm: np.full(len(keys), -1, np.int64) for arm in arms} for _ in range(2))
    known = images.assign(file=images["sha256"].factorize()[0]) if "sha256" in images else images
    for column, found in (("seed", seeds), ("file", files)):
        if column in known:
            for arm, rows in known.groupby("arm", sort=False):
                codes = rows[column].fillna(-1).to_numpy(np.int64)
                found[str(arm)][positions(bare, rows)] = codes
    return replace(bare, seeds=seeds, files=files)


def _alike(a: Codes, b: Codes) -> npt.NDArray[np.bool_]:
    return np.asarray((a >= 0) & (a == b))


def positions(requests: Requests, rows: pd.DataFrame) -> Codes:
    """Return where the request of every row stands.

    Raises:
        InputError: two rows are of the same request.
    """
    stride = int(requests.index.max(initial=0)) + 1
    code = {prompt: i for i, prompt in enumerate(requests.prompts)}
    wanted = rows["prompt_id"].map(code).to_numpy(np.int64) * stride + rows["index"].to_numpy()
    known = requests.prompt * stride + requests.index
    where: Codes = np.searchsorted(known, wanted)
    if len(np.unique(where)) < len(where):
        twice = rows[rows.duplicated(["prompt_id", "index"])].iloc[0]
        raise InputError(
            f"two rows for arm {twice['arm']!r}, prompt {twice['prompt_id']!r}, "
            f"index {twice['index']}; one image has one reading by a probe"
        )
    return where


def cast(
    labels: pd.DataFrame, requests: Requests, classes: Mapping[str, tuple[str, ...]]
) -> Iterator[Votes]:
    """Yield the votes of every arm, probe and attribute of a table of labels.

    Args:
        labels: columns arm, prompt_id, index, probe, attribute, label, status and, where the
            probe gave probabilities, `p_<class>`.
        requests: as arranged from the same table.
        classes: by attribute; rows of other attributes are left out.
    """
    for key, rows in labels.groupby(["arm", "probe", "attribute"], sort=False):
        arm, probe, attribute = map(str, key)
        if attribute in classes:
            yield _votes(rows, requests, arm, probe, attribute, classes[attribute])


def _votes(
    rows: pd.DataFrame,
    requests: Requests,
    arm: str,
    probe: str,
    attribute: str,
    classes: tuple[str, ...],
) -> Votes:
    at, size = positions(requests, rows), len(requests.prompt)
    ok = (rows["status"] == State.OK).to_numpy(bool)
    named = rows["label"].map({name: i for i, name in enumerate(classes)})
    if wrong := set(rows["label"][ok & named.isna().to_numpy()].dropna()):
        raise InputError(f"labels: {attribute}: {unknown('class', str(min(wrong)), classes)}")
    codes = np.full(size, -1, np.int64)
    codes[at] = np.where(ok, named.fillna(-1).to_numpy(float), -1).astype(np.int64)
    states = np.full(size, ABSENT, dtype="<U10")
    states[at] = rows["status"].astype(str).to_numpy()
    states[(states == State.OK) & (codes < 0)] = State.ABSTAIN
    soft = None
    columns = [f"p_{name}" for name in classes]
    if all(column in rows for column in columns) and rows.loc[ok, columns].notna().any(axis=None):
        soft = np.full((size, len(classes)), np.nan)
        soft[at] = np.where(ok[:, None], rows[columns].to_numpy(float), np.nan)
    return Votes(arm, probe, attribute, classes, one_hot(codes, len(classes)), soft, states)
