"""Who judges what it has guided is said, and who could judge instead."""

from types import SimpleNamespace

import pytest

from audit.measuring.guides import warn_guided
from audit.storage.results import GUIDE_JUDGES, GUIDE_READS


def probe(name, *attributes):
    return SimpleNamespace(name=name, classes=dict.fromkeys(attributes or ("gender",), ("a", "b")))


PORTRAITS, DLIB, HAIR = probe("portraits"), probe("dlib"), probe("hair", "hair")


@pytest.mark.parametrize(
    ("judges", "code", "remedy"),
    [
        ({"portraits": PORTRAITS, "dlib": DLIB}, GUIDE_JUDGES, "believe dlib"),
        ({"dlib": DLIB, "portraits": PORTRAITS}, GUIDE_READS, "believe dlib"),
        ({"portraits": PORTRAITS}, GUIDE_JUDGES, "add a probe that did not guide it"),
        ({"hair": HAIR, "again": PORTRAITS}, GUIDE_JUDGES, "add a probe that did not guide it"),
    ],
)
def test_the_guide_among_the_judges_is_told(judges, code, remedy):
    (warned,) = warn_guided("steer", "gender", PORTRAITS, judges)
    assert (warned.code, warned.arm, warned.attribute) == (code, "steer", "gender")
    assert judges[warned.probe] is PORTRAITS
    assert warned.message.endswith(f"counts as success; {remedy}")


def test_a_guide_that_judges_nothing_is_no_matter():
    assert not list(warn_guided("steer", "gender", PORTRAITS, {"dlib": DLIB}))
    blind = {"dlib": DLIB, "portraits": probe("portraits", "age")}
    assert not list(warn_guided("steer", "gender", PORTRAITS, blind))
