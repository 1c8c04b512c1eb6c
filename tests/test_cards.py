"""The cards of a run: prompts before pooled shares, and no arm called closer that is not shown."""

import pytest

from audit.storage.results import Difference, Entry, FeatureRecord, Provenance, Results
from reports.cards import cards
from reports.source import Source

PROMPTS = {"nurse": "a nurse", "boss": "a chief executive"}
ESTIMAND = {
    "attribute": "gender", "classes": ("woman", "man"), "target": {"woman": 0.5, "man": 0.5},
    "target_source": "uniform", "inference": "fixed_prompts", "design": "d", "aggregation": "a",
}  # fmt: skip


def entry(metric, arm, value, low=None, high=None, **more):
    about = {"attribute": "gender", "probe": "portraits", "n": 192, "method": "m"}
    return Entry(
        metric=metric, arm=arm, value=value, ci_low=low, ci_high=high, direction="lower",
        **about | more,
    )  # fmt: skip


def change(arm, low, high, metric="fd_debiased"):
    return Difference(
        metric=metric, arm=arm, baseline="none", attribute="gender", probe="portraits",
        value=(low + high) / 2, ci_low=low, ci_high=high, level=0.95, method="paired-mover", n=90,
    )  # fmt: skip


def source(entries, changes=(), prompts=PROMPTS, arms=("none", "steer"), **more):
    return Source(
        Results(
            benchmark="b", arms=arms, prompts=prompts, measurements=tuple(entries),
            comparisons=tuple(changes), provenance=Provenance(estimands=(ESTIMAND,)), **more,
        )
    )  # fmt: skip


def pooled(arm, woman):
    return [
        entry("share", arm, woman, class_="woman"),
        entry("share", arm, 1 - woman, class_="man"),
        entry("fd", arm, abs(woman - 0.5) * 2**0.5, null_high=0.09),
    ]


def stereotyped(arm="none", macro=0.7, low=0.6, high=0.707):
    """Every nurse a woman, every chief executive a man: even as a whole."""
    return [
        *pooled(arm, 0.5),
        *(
            entry("share", arm, value, class_=name, prompt=prompt)
            for prompt, woman in (("nurse", 1.0), ("boss", 0.0))
            for name, value in (("woman", woman), ("man", 1 - woman))
        ),
        entry("fd_debiased_macro", arm, macro, low, high),
    ]


def test_many_prompts_are_told_of_before_the_pooled_share():
    (card,) = cards(source(stereotyped()))
    assert card.figure == "0.700"
    assert "root mean square over 2 prompts" in card.lines[0]
    assert card.lines[1] == (
        "Farthest apart are “a nurse” 100.0\xa0% and “a chief executive” 0.0\xa0%, read as woman."
    )
    assert card.lines[2].startswith("Pooled over prompts, 50.0\xa0%")
    assert "of the pooled shares 0.000" in card.lines[3]


def test_over_prompts_an_arm_is_closer_where_the_change_over_prompts_is():
    """Not where that of the pooled shares is: they were even before."""
    for metric, high, said in (
        ("fd_debiased_macro", -0.1, "Closest to the target: steer"),
        ("fd_debiased_macro", 0.1, "No arm is"),
        ("fd_debiased", -0.1, "No arm is"),
    ):
        paired = change("steer", -0.4, high, metric)
        found = source([*stereotyped(), *stereotyped("steer", 0.4, 0.2, 0.65)], [paired])
        (card,) = cards(found)
        assert card.lines[-1].startswith(said)


@pytest.mark.parametrize(
    ("arm", "low", "high", "said"),
    [
        ("steer", -0.3, -0.1, "Closest to the target: steer"),
        ("steer", -0.3, 0.01, "No arm is shown to be closer to the target."),
        ("random-features", -0.3, -0.1, "No arm is shown to be closer to the target."),
    ],
)
def test_without_prompts_it_takes_a_change_whose_interval_excludes_none(arm, low, high, said):
    arms = ("none", "steer", "random-features")
    entries = [one for name, p in zip(arms, (0.2, 0.4, 0.4), strict=True)
               for one in pooled(name, p)]  # fmt: skip
    (card,) = cards(source(entries, [change(arm, low, high)], {"-": ""}, arms))
    assert card.lines[-1].startswith(said)
    assert card.lines[0].startswith("of 192 images under none are read as man")


def test_a_control_by_another_name_is_known_by_the_spec():
    named = {"name": "random-features", "as": "control"}
    spec = {"benchmarks": {"b": {"mitigations": [{"name": "none"}, named]}}}
    plain = source(pooled("none", 0.2), arms=("none", "control"))
    assert plain.controls == {"none"}
    assert Source(plain.results, spec=spec).controls == {"none", "control"}


def test_what_prompts_ask_for_comes_first_where_features_are_about_it():
    features = FeatureRecord(
        attribute="age", classes=("young", "old"), hookpoint="mid_block", model="m", sae="s",
        ranking="r", latents={}, effects={},
    )  # fmt: skip
    asked = entry("obeyed", "none", 0.75, attribute="age")
    found = source([*stereotyped(), asked], features=(features,))
    assert [card.attribute for card in cards(found)] == ["age, as asked", "gender"]
