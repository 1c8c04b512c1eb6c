"""Labels that people gave to some of the images: read, checked, and what to say of the sample."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from audit.errors import InputError, unknown
from audit.measuring.groups import Group
from audit.storage.columns import Cells
from audit.storage.results import Warned

NAMES = ("sha256", "path")
"""Columns that name an image by its file; they do as well as prompt and index."""
PLACE = ("arm", "prompt_id", "prompt", "index")
"""Columns that name an image by its request."""
UNLIKE = 0.001
"""p below which the images that people saw are said to be no random sample."""

Classes = Mapping[str, Sequence[str]]
Key = tuple[str, str, int]
"""Arm, prompt id and index."""


def read_people(path: Path, images: pd.DataFrame, classes: Classes) -> pd.DataFrame:
    """Read the labels of people.

    Args:
        path: CSV or Parquet: columns `sha256`, `path`, or `index` with `prompt_id` or `prompt` and
            `arm` where there are several; and one for each attribute, empty where nobody said.
        images: As in `images.parquet`.
        classes: By attribute.

    Returns:
        Columns arm, prompt_id, index, attribute and label; a file that several requests share
        gives each of them its label.

    Raises:
        InputError: a column or a cell is wrong, or names no image of the run; says where.
    """
    cells = Cells(path)
    attributes = [name for name in classes if name in cells.columns]
    known = [*NAMES, *PLACE, *classes]
    for column in cells.columns:
        if column not in known:
            raise InputError(f"{path}: {unknown('column', column, known)}")
    if not attributes:
        raise InputError(f"{path}: has a column for none of {', '.join(classes)}")
    found: dict[tuple[Key, str], str] = {}
    named = _Images(path, cells.columns, images)
    for where, row in cells:
        for key in named.find(where, row):
            for attribute in attributes:
                label = row[attribute]
                if not label:
                    continue
                if label not in classes[attribute]:
                    raise InputError(f"{where}: {unknown(attribute, label, classes[attribute])}")
                if found.setdefault((key, attribute), label) != label:
                    raise InputError(
                        f"{where}: the image is {found[key, attribute]!r} in another row"
                    )
    if not found:
        raise InputError(f"{path}: the table holds no label")
    rows = [(*key, attribute, label) for (key, attribute), label in found.items()]
    return pd.DataFrame(rows, columns=["arm", "prompt_id", "index", "attribute", "label"])


class _Images:
    """The images of a run, by what a table calls them."""

    def __init__(self, path: Path, columns: Sequence[str], images: pd.DataFrame) -> None:
        self.by = next((name for name in NAMES if name in columns), None)
        self.arms = list(dict.fromkeys(images["arm"]))
        if self.by is None:
            self._check_place(path, columns)
        self.text = None if "prompt_id" in columns or self.by else "prompt"
        prompts = images[self.text or "prompt_id"]
        self.prompts = list(dict.fromkeys(prompts))
        keys = zip(images["arm"], images["prompt_id"], images["index"], strict=True)
        names = zip(images["arm"], prompts, images["index"], strict=True)
        known = images[self.by] if self.by else names
        self.keys: dict[object, list[Key]] = {}
        for name, key in zip(known, keys, strict=True):
            self.keys.setdefault(name, []).append(key)

    def _check_place(self, path: Path, columns: Sequence[str]) -> None:
        if "index" not in columns:
            raise InputError(
                f"{path}: nothing names the images; give `sha256`, `path`, or `prompt_id` and"
                " `index`"
            )
        if "arm" not in columns and len(self.arms) > 1:
            raise InputError(f"{path}: column `arm` is missing; it is one of {self.arms}")

    def find(self, where: str, row: Mapping[str, str]) -> Sequence[Key]:
        """Return the requests of the image that a row is about."""
        if self.by is not None:
            if row[self.by] not in self.keys:
                raise InputError(f"{where}: no image of the run has {self.by} {row[self.by]!r}")
            keys = self.keys[row[self.by]]
            return [key for key in keys if row.get("arm") in (None, "", key[0])]
        arm = row.get("arm") or self.arms[0]
        if arm not in self.arms:
            raise InputError(f"{where}: {unknown('arm', arm, self.arms)}")
        prompt = row.get(self.text or "prompt_id", "") or self.prompts[0]
        if prompt not in self.prompts:
            raise InputError(f"{where}: {unknown('prompt', prompt, self.prompts)}")
        if not row["index"].isdecimal() or (arm, prompt, int(row["index"])) not in self.keys:
            raise InputError(f"{where}: no image of the run has index {row['index']!r}")
        return self.keys[arm, prompt, int(row["index"])]


def warn_people(group: Group, people: pd.DataFrame) -> Iterator[Warned]:
    """Yield a warning where the images that people labelled are unlike the others to the probe.

    Prediction-powered inference holds for a random sample; readings of one differ from those of
    the rest by chance only. χ² test on the readings of the two, and of the prompts.
    """
    votes = group.votes
    own = people[(people["arm"] == votes.arm) & (people["attribute"] == votes.attribute)]
    labelled = set(zip(own["prompt_id"], own["index"], strict=True))
    if not labelled:
        return
    requests = group.requests
    names = (requests.prompts[code] for code in requests.prompt)
    seen = np.array([key in labelled for key in zip(names, requests.index, strict=True)])
    read = votes.codes >= 0
    for what, codes in (("readings", votes.codes), ("prompts", requests.prompt)):
        parts = (codes[read & some] for some in (seen, ~seen))
        table = np.stack([np.bincount(part, minlength=codes.max() + 1) for part in parts])
        table = table[:, table.sum(axis=0) > 0]
        if table.shape[1] < 2 or table.sum(axis=1).min() == 0:
            continue
        p = float(stats.chi2_contingency(table).pvalue)
        if p < UNLIKE:
            message = (
                f"{votes.attribute}: the images that people labelled differ from the others in "
                f"their {what} by {votes.probe} (p {p:.1g}): shares with human labels need a "
                "random sample of all images"
            )
            yield Warned(code="people_no_random_sample", message=message, arm=votes.arm)
