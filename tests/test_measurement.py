"""The orchestration: planted tables in, numbers worked by hand out."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tables import CLASSES, benchmark, one, tables

from audit.errors import InputError
from audit.measuring.arrangement import arms_of
from audit.measuring.error_cards import Confusion, ErrorCard
from audit.measuring.measurement import every_metric, measure
from audit.measuring.quality import Embeddings
from audit.spec import rules
from audit.spec.benchmark import Benchmark

EIGHTY = ["woman"] * 16 + ["man"] * 4
"""KA-01: shares .8 and .2, FD .424264."""


def test_shares_and_discrepancies_of_a_table_worked_by_hand():
    found = measure(*tables({"none": {"-": EIGHTY}}), benchmark())
    share = one(found, "share", class_="woman")
    assert share.value == pytest.approx(0.8)
    assert (share.ci_low, share.ci_high) == pytest.approx((0.583983, 0.919342), abs=1e-6)  # KA-19
    assert one(found, "fd").value == pytest.approx(0.424264, abs=1e-6)  # KA-01
    assert one(found, "fd2_debiased").value == pytest.approx(0.163158, abs=1e-6)  # KA-29
    assert one(found, "parity_gap").value == pytest.approx(0.6)
    assert one(found, "tv").value == pytest.approx(0.3)
    assert one(found, "kl").value == pytest.approx(0.192745, abs=1e-6)
    # Binomial(20, 1/2) is at most 4 away from 10 with 95.9 %, at most 3 with 88.5 %.
    assert one(found, "fd").null_high == pytest.approx(0.2 * 2**0.5)
    assert one(found, "fd").ci_low > 0


def test_a_fair_sample_is_not_called_biased():
    found = measure(*tables({"none": {"-": ["woman", "man"] * 50}}), benchmark())
    fd = one(found, "fd_debiased")
    assert fd.value == 0
    assert fd.ci_low == 0
    assert one(found, "fd_p_null").value == pytest.approx(1)


def test_opposite_prompts_look_fair_only_together():
    """KA-16: doctors .1, nurses .9: pooled 0, per prompt .566, all of it stereotype."""
    rows = {"doctor": ["woman"] * 10 + ["man"] * 90, "nurse": ["woman"] * 90 + ["man"] * 10}
    found = measure(*tables({"none": rows}), benchmark())
    assert one(found, "fd").value == pytest.approx(0)
    assert one(found, "fd_macro").value == pytest.approx(0.565685, abs=1e-6)
    assert one(found, "fd", prompt="doctor").value == pytest.approx(0.565685, abs=1e-6)
    macro = one(found, "fd_debiased_macro")
    assert macro.ci_low < 0.565685 < macro.ci_high
    square = one(found, "fd2_debiased_macro").value
    parts = one(found, "fd2_aggregate").value + one(found, "fd2_spread").value
    assert square == pytest.approx(parts)
    assert one(found, "fd2_spread").value > 0.3
    worst = one(found, "fd_worst")
    assert worst.value == pytest.approx(0.565685, abs=1e-6)
    assert "prompt doctor" in worst.method


def test_the_worst_of_many_prompts_of_two_images_each_has_its_ends_in_order():
    """A woman and a man: FD² is 0 less tr S ÷ N = 1 ÷ 2, and its interval begins above that."""
    many = {f"p{i}": ["woman", "man"] for i in range(50)}
    worst = one(measure(*tables({"none": many}), benchmark()), "fd2_debiased_worst")
    assert worst.value == pytest.approx(-0.5)
    assert worst.ci_low == 0
    assert 0 < worst.ci_high <= 1


def test_every_prompt_weighs_the_same_however_many_images_were_read():
    rows = {"a": ["woman"] * 30, "b": ["man"] * 10}
    found = measure(*tables({"none": rows}), benchmark())
    assert one(found, "share", class_="woman").value == pytest.approx(0.5)


def test_faces_that_are_missing_are_counted_and_bounded():
    """KA-46: 60 men, 25 women, 15 without a face: FD .291, between .141 and .354."""
    rows = ["man"] * 60 + ["woman"] * 25 + ["no_face"] * 15
    found = measure(*tables({"none": {"-": rows}}), benchmark())
    assert one(found, "fd").value == pytest.approx(0.291162, abs=1e-6)
    assert one(found, "fd_missing_low").value == pytest.approx(0.141421, abs=1e-6)
    assert one(found, "fd_missing_high").value == pytest.approx(0.353553, abs=1e-6)
    assert one(found, "share_missing_low", class_="man").value == pytest.approx(0.6)
    assert one(found, "share_missing_high", class_="man").value == pytest.approx(0.75)
    state = next(s for s in found.states if s.state == "no_face")
    assert (state.count, state.n, state.share) == (15, 100, 0.15)
    assert state.ci_low < 0.15 < state.ci_high


def test_the_worst_case_weighs_prompts_as_the_shares_do():
    """Prompt b: 99 men of 100; women are 0 to 1 in 100 there, ½ to ½ + 1 in 200 over both."""
    rows = {"a": ["woman"] * 900, "b": ["man"] * 99 + ["no_face"]}
    found = measure(*tables({"none": rows}), benchmark())
    assert one(found, "share", class_="woman").value == pytest.approx(0.5)
    assert one(found, "share_missing_low", class_="woman").value == pytest.approx(0.5)
    assert one(found, "share_missing_high", class_="woman").value == pytest.approx(0.505)
    assert one(found, "fd_missing_low").value == pytest.approx(0)
    assert one(found, "fd_missing_high").value == pytest.approx(0.005 * 2**0.5)


def test_no_face_anywhere_is_no_number_and_never_balance():
    found = measure(*tables({"none": {"-": ["no_face"] * 20}}), benchmark())
    for metric in ("fd", "fd_debiased", "parity_gap", "kl"):
        row = one(found, metric)
        assert row.value is None
        assert row.method == "not measured: the probe read no image"
    assert one(found, "fd_missing_high").value == pytest.approx(0.707107, abs=1e-6)
    assert any(w.code == "missing" for w in found.warnings)


def test_an_arm_in_which_nothing_was_read_is_compared_without_a_number():
    arms = {"none": {"-": EIGHTY}, "steer": {"-": ["no_face"] * 20}}
    found = measure(*tables(arms), benchmark())
    assert one(found, "fd", arm="steer").value is None
    change = next(d for d in found.comparisons if d.class_ == "woman")
    assert (change.value, change.n, change.dropped) == (None, 0, 20)
    assert change.method == "not measured: no pair was read on both sides"
    detected = next(d for d in found.comparisons if d.metric == "detection_rate")
    assert detected.value == -1
    assert detected.p < 1e-5
    assert any(w.code == "missing_differs" for w in found.warnings)


def test_no_reading_and_no_image_at_all_are_no_error():
    images, labels = tables({"none": {"-": EIGHTY}})
    found = measure(images, labels.iloc[:0], benchmark())
    assert found.measurements == ()
    assert found.arms == ("none",)
    assert measure(images.iloc[:0], labels.iloc[:0], benchmark()).arms == ()


def test_one_image_has_no_interval_and_one_class_is_the_largest_distance():
    single = measure(*tables({"none": {"-": ["woman"]}}), benchmark())
    row = one(single, "fd_debiased")
    assert row.value is None
    assert "one reading" in row.method
    collapse = measure(*tables({"none": {"-": ["woman"] * 40}}), benchmark())
    assert one(collapse, "fd").value == pytest.approx(0.707107, abs=1e-6)
    assert one(collapse, "share", class_="man").ci_high > 0.05


def test_a_class_wanted_with_share_zero_is_infinite_in_words():
    target = {"gender": {"woman": 1.0, "man": 0.0}}
    found = measure(*tables({"none": {"-": EIGHTY}}), benchmark(target=target))
    assert one(found, "kl").value is None
    assert one(found, "kl").method.startswith("infinite")


@pytest.mark.parametrize(("sure", "warned"), [(0.97, False), (0.6, True)])
def test_labels_that_are_all_alike_are_still_uncertain(sure, warned):
    """FD .707 of 50 labels, from .65 on by its interval; .665 of probabilities of .97."""
    images, labels = tables({"none": {"-": ["woman"] * 50}})
    labels = labels.assign(p_woman=sure, p_man=1 - sure)
    found = measure(images, labels, benchmark())
    assert ("soft_differs" in {w.code for w in found.warnings}) == warned


def test_soft_and_hard_readings_differ_as_they_should():
    """KA-06: soft FD .088388, hard FD .353553."""
    images, labels = tables({"none": {"-": ["woman", "woman", "woman", "man"]}})
    labels["p_woman"], labels["p_man"] = [0.9, 0.6, 0.55, 0.2], [0.1, 0.4, 0.45, 0.8]
    found = measure(images, labels, benchmark(metrics=["fd_soft"]))
    assert one(found, "fd_soft").value == pytest.approx(0.088388, abs=1e-6)
    assert one(found, "fd").value == pytest.approx(0.353553, abs=1e-6)


def test_attributes_can_be_fair_apart_and_unfair_together():
    """KA-08: every woman is young, every man is old: marginals 0, joint FD .5."""
    rows = ["woman"] * 50 + ["man"] * 50
    images, gender = tables({"none": {"-": rows}})
    ages = ["young" if said == "woman" else "old" for said in rows]
    _, age = tables({"none": {"-": ages}}, attribute="age")
    spec = benchmark(
        attributes=["gender", "age"], target={"age": {"young": 0.5, "adult": 0.0, "old": 0.5}}
    )
    found = measure(images, pd.concat([gender, age]), spec)
    assert one(found, "fd", attribute="gender").value == pytest.approx(0)
    assert one(found, "fd", attribute="gender+age").value == pytest.approx(0.5)
    assert one(found, "mutual_information").value == pytest.approx(np.log(2))


def both_read(first, second, rows):
    """Tables of two attributes of the same images, and a benchmark of both in that order."""
    images, one_ = tables({"none": {"-": [a for a, _ in rows]}}, attribute=first)
    _, other = tables({"none": {"-": [b for _, b in rows]}}, attribute=second)
    target = {"age": {"young": 0.5, "adult": 0.0, "old": 0.5}}
    return images, pd.concat([one_, other]), benchmark(attributes=[first, second], target=target)


def of_both(classes, counts):
    table = Confusion(classes=classes, counts=counts, missing=(0,) * len(classes))
    return card(((180, 20), (20, 180))).model_copy(update={"attributes": {"gender+age": table}})


SEXES_BY_AGE = tuple(f"{sex}+{age}" for sex in ("woman", "man") for age in CLASSES["age"])


def test_combinations_are_corrected_in_whatever_order_the_card_has_them():
    """Old women alone are misread: one of five as an old man. Of 160 + 240, 200 + 200 are true."""
    counts = np.diag([100] * 6)
    counts[2, [2, 5]] = 80, 20
    known = of_both(SEXES_BY_AGE, counts.tolist())
    rows = [("woman", "old")] * 160 + [("man", "old")] * 240
    images, labels, spec = both_read("age", "gender", [(age, sex) for sex, age in rows])
    spec = spec.model_copy(update={"target": {}})
    found = measure(images, labels, spec, cards={"probe": known})
    about = {"attribute": "age+gender", "class_": "old+woman"}
    assert one(found, "share", **about).value == pytest.approx(0.4)
    assert one(found, "share_corrected", **about).value == pytest.approx(0.5)


def test_combinations_without_a_table_of_their_own_are_refused_with_the_reason():
    rows = [("woman", "young")] * 50 + [("man", "old")] * 50
    about = {"attribute": "gender+age"}
    said = measure(*both_read("gender", "age", rows), cards={"probe": card(((99, 1), (1, 99)))})
    row = one(said, "fd_corrected", **about)
    assert row.value is None
    assert row.method == (
        "not corrected: the error card of probe 'probe' says nothing of gender+age: the tables of "
        "single attributes would do only if no error hung on another attribute"
    )
    known = of_both(SEXES_BY_AGE, np.diag([100] * 6).tolist())
    said = measure(*both_read("gender", "age", rows), cards={"probe": known})
    assert one(said, "fd_corrected", **about).method == (
        "not corrected: too few images of some combinations: "
        "no table says how their rest is misread"
    )


def test_arms_share_one_list_of_combinations():
    """Of 46 images under .1·46 < 5 are expected of each sex young; of 52 more than that."""
    images, genders, ages = [], [], []
    for arm, n in (("none", 52), ("steer", 46), ("lost", 3)):
        image, gender = tables({arm: {"-": ["woman", "man"] * (n // 2) + ["man"] * (n % 2)}})
        images, genders = [*images, image], [*genders, gender]
        ages.append(tables({arm: {"-": ["young"] * n}}, attribute="age")[1])
    spec = benchmark(
        attributes=["gender", "age"], target={"age": {"young": 0.2, "adult": 0.5, "old": 0.3}}
    )
    found = measure(pd.concat(images), pd.concat([*genders, *ages]), spec)
    both = [m for m in found.measurements if m.attribute == "gender+age" and m.metric == "fd"]
    assert [m.arm for m in both] == ["none", "steer"]  # three images speak of no combination
    assert both[0].value == pytest.approx(both[1].value)


def test_flips_and_paired_differences_worked_by_hand():
    """KA-32, KA-33: 18 gained, 6 lost of 100: .12, exact p .022656."""
    before = ["man"] * 18 + ["woman"] * 6 + ["woman"] * 40 + ["man"] * 36
    after = ["woman"] * 18 + ["man"] * 6 + ["woman"] * 40 + ["man"] * 36
    found = measure(*tables({"none": {"-": before}, "steer": {"-": after}}), benchmark())
    (flip,) = found.flips
    assert flip.counts == ((40, 6), (18, 36))
    assert flip.p == pytest.approx(0.022656, abs=1e-6)
    assert flip.p_mid == pytest.approx(0.014633, abs=1e-6)
    change = next(d for d in found.comparisons if (d.metric, d.class_) == ("share", "woman"))
    assert change.value == pytest.approx(0.12)
    # The score interval at Student's quantile, 1.984: a little wider than KA-33.
    assert (change.ci_low, change.ci_high) == pytest.approx((0.0245, 0.2197), abs=1e-4)
    assert change.p == flip.p
    assert change.n == 100


def test_pairs_are_made_by_request_and_lost_partners_are_counted():
    before = ["woman"] * 10 + ["man"] * 10
    after = ["woman"] * 10 + ["no_face"] * 2 + ["man"] * 8
    images, labels = tables({"none": {"-": before}, "steer": {"-": after}})
    shuffled = labels.sample(frac=1, random_state=0)
    lost = images.drop(images[(images.arm == "steer") & (images["index"] == 19)].index)
    kept = shuffled.drop(shuffled[(shuffled.arm == "steer") & (shuffled["index"] == 19)].index)
    found = measure(lost, kept, benchmark())
    (flip,) = found.flips
    assert (flip.n, flip.dropped) == (17, 3)  # two without a face, one never drawn
    assert flip.counts == ((10, 0), (0, 7))
    detected = next(d for d in found.comparisons if d.metric == "detection_rate")
    assert detected.value == pytest.approx(-2 / 19)


def test_arms_without_shared_seeds_are_compared_unpaired_and_say_so():
    arms = {"none": {"-": EIGHTY}, "other": {"-": ["woman", "man"] * 10}}
    found = measure(*tables(arms, seeds=False), benchmark())
    assert found.flips == ()
    change = next(d for d in found.comparisons if d.class_ == "woman")
    assert change.method == "unpaired: the arms share no seeds"
    assert change.value == pytest.approx(-0.3)


def test_a_few_shared_seeds_do_not_stand_for_the_arms():
    images, labels = tables(
        {"none": {"-": ["woman", "man"] * 50}, "other": {"-": ["woman"] * 99 + ["no_face"]}}
    )
    images.loc[(images["arm"] == "other") & (images["index"] > 1), "seed"] += 10**6
    found = measure(images, labels, benchmark())
    assert found.flips == ()
    change = next(d for d in found.comparisons if d.class_ == "woman")
    assert change.method == "unpaired: the arms share the seeds of 2 of 100 requests"
    assert change.value == pytest.approx(0.5)
    assert (change.n, change.dropped) == (99, 1)
    distance = next(d for d in found.comparisons if d.metric == "fd_debiased")
    assert distance.ci_low > 0.4


def test_flips_are_tested_by_prompt_where_prompts_are_a_sample():
    """Of 10 prompts 3 turn to women and one back, wholly: 30 flips against 10."""
    women, men, both = ["woman"] * 10, ["man"] * 10, ["woman", "man"] * 5
    before, after = [men, men, men, women], [women, women, women, men]
    arms = {
        arm: {f"p{i}": row for i, row in enumerate([*rows, *[both] * 6])}
        for arm, rows in (("none", before), ("steer", after))
    }
    spec = benchmark(statistics={"inference": "prompt_population"})
    whole, first, *_ = measure(*tables(arms), spec).flips
    assert (whole.test, first.test) == ("hotelling", "mcnemar-exact")
    assert whole.p > 0.3
    assert first.p == pytest.approx(2 * 0.5**10)


def test_the_same_images_in_two_arms_at_hand_are_refused():
    images, labels = tables({"a": {"-": EIGHTY}, "b": {"-": EIGHTY}})
    images["sha256"] = [f"{i % 20}" for i in range(40)]
    with pytest.raises(InputError, match="arms 'a' and 'b' are the same images"):
        measure(images, labels, benchmark())


def test_copies_within_an_arm_are_reported():
    images, labels = tables({"none": {"-": EIGHTY}})
    images.loc[1, "sha256"] = images.loc[0, "sha256"]
    (warned,) = measure(images, labels, benchmark()).warnings
    assert warned.message == "1 of 20 images are copies of another of the same arm"


def test_two_readings_of_one_image_are_refused():
    images, labels = tables({"none": {"-": EIGHTY}})
    with pytest.raises(InputError, match="two rows for arm 'none'"):
        measure(images, pd.concat([labels, labels.iloc[:1]]), benchmark())


def test_a_label_that_is_no_class_is_refused():
    images, labels = tables({"none": {"-": EIGHTY}})
    labels.loc[0, "label"] = "womann"
    with pytest.raises(InputError, match="did you mean 'woman'"):
        measure(images, labels, benchmark())


def card(counts, **more):
    confusion = Confusion(classes=("woman", "man"), counts=counts, missing=(0, 0), **more)
    return ErrorCard(
        probe="probe", fingerprint="f", data="d", images=1, attributes={"gender": confusion}
    )


def test_without_a_card_nothing_is_corrected_and_no_probe_is_taken_for_perfect():
    """Trap 13: a silent fallback to Se = Sp = 1 would print the raw share once more."""
    found = measure(*tables({"none": {"-": EIGHTY}}), benchmark())
    for metric, class_ in (("share_corrected", "woman"), ("fd_debiased_corrected", None)):
        row = one(found, metric, class_=class_)
        assert (row.value, row.ci_low, row.ci_high) == (None, None, None)
        assert row.method == "not corrected: no error card of probe 'probe'"


def test_a_class_that_is_declared_counts_before_shares_are_taken():
    """Trap 7: 5 women, 4 men, 1 non-binary; without the last the entropy of 5/9 and 4/9."""
    images, labels = tables({"none": {"-": ["woman"] * 5 + ["man"] * 5}})
    labels.loc[9, "label"] = "non-binary"
    three = benchmark(classes={"gender": ["woman", "man", "non-binary"]}, metrics=["openbias"])
    found = measure(images, labels, three)
    shares = [one(found, "share", class_=name).value for name in ("woman", "man", "non-binary")]
    assert shares == pytest.approx([0.5, 0.4, 0.1])
    entropy = -sum(p * np.log(p) for p in (0.5, 0.4, 0.1))
    assert one(found, "openbias").value == pytest.approx(1 - entropy / np.log(3))


def test_scores_over_embeddings_are_named_by_their_encoder_and_clamp_where_they_say():
    """Trap 9, KA-58: cosines .3 and -.1: 2.5·.3 / 2, and 100·.1; no id is bare."""
    images, labels = tables({"none": {"-": ["woman", "man"]}})
    vectors = np.array([[0.3, (1 - 0.09) ** 0.5], [-0.1, (1 - 0.01) ** 0.5]])
    found = Embeddings("tiny", "tiny, 64 px", vectors, {"-": np.array([1.0, 0.0])}, vectors)
    listed = ("fid", "clipscore_w2.5", "clipscore_x100_torchmetrics")
    spec = benchmark().model_copy(update={"metrics": listed})
    told = measure(images, labels, spec, embeddings=[found])
    assert one(told, "clipscore_w2.5@tiny").value == pytest.approx(0.375)
    assert one(told, "clipscore_x100_torchmetrics@tiny").value == pytest.approx(10)
    rows = [m for m in told.measurements if m.metric.partition("@")[0] in listed]
    assert {(m.metric.partition("@")[2], m.extractor) for m in rows} == {("tiny", "tiny, 64 px")}


def test_the_square_of_corrected_shares_is_that_of_the_inverse():
    """Of 100 images all read women, by a probe that is right nine times of ten: 1.125 women.

    They are 1, whose square is 2·.25; that of the inverse, 2·.625², is right on average.
    """
    known = card(((180, 20), (20, 180)))
    found = measure(*tables({"none": {"-": ["woman"] * 100}}), benchmark(), cards={"probe": known})
    share = one(found, "share_corrected", class_="woman")
    assert (share.value, share.ci_high) == pytest.approx((1, 1))
    assert 0.8 < share.ci_low < 0.97  # beyond 1 there would be no interval left
    noise = 2 * 0.09 / 200 / 0.8**2  # of the calibration; the readings have none
    square = one(found, "fd2_debiased_corrected").value
    assert square == pytest.approx(2 * 0.625**2 - noise)
    assert one(found, "fd_debiased_corrected").value == pytest.approx(0.5**0.5)  # none is larger


def test_a_correction_brings_back_the_planted_share():
    """KA-37: q .62 read with sensitivity .95 and specificity .90 is p .611765."""
    rows = ["woman"] * 310 + ["man"] * 190
    known = card(((190, 10), (20, 180)))
    found = measure(*tables({"none": {"-": rows}}), benchmark(), cards={"probe": known})
    share = one(found, "share_corrected", class_="woman")
    assert share.value == pytest.approx(0.611765, abs=1e-6)
    raw = one(found, "share", class_="woman")
    assert share.ci_high - share.ci_low > raw.ci_high - raw.ci_low
    assert found.probes[0].correction == "applied"
    assert one(found, "fd_corrected").value == pytest.approx(2**0.5 * 0.111765, abs=1e-5)


@pytest.mark.parametrize(("labels", "ruled_out"), [(50, False), (5000, True)])
def test_few_labels_without_an_error_do_not_rule_out_that_all_are_women(labels, ruled_out):
    """Of 200 readings 194 say women, as do all labels of women: .97 against 1.

    Pooled with 50 labels .976: .03 / sqrt(.976·.024·(1/200 + 1/50)) = 1.24 < 1.645. With 5,000
    it is .99885, and 12 > 1.645.
    """
    rows, known = ["woman"] * 194 + ["man"] * 6, card(((labels, 0), (2, 38)))
    found = measure(*tables({"none": {"-": rows}}), benchmark(), cards={"probe": known})
    (scored,) = (one for one in found.scored if one.measurement.metric == "fd_corrected")
    lower, upper = scored.bounds(0.95)
    assert (upper < 0.7) if ruled_out else (upper == pytest.approx(0.5**0.5))
    assert lower < scored.measurement.value < upper
    assert scored.measurement.value == pytest.approx(2**0.5 * (0.92 / 0.95 - 0.5))
    assert scored.measurement.ci_high >= upper - 1e-9


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (card(((110, 90), (100, 100))), "below 0.3"),
        (card(((20, 0), (2, 180))), "20 labelled images"),
        ("no error card of probe 'probe'", "no error card"),
    ],
)
def test_a_correction_that_cannot_be_trusted_is_refused_with_the_reason(known, reason):
    found = measure(*tables({"none": {"-": EIGHTY}}), benchmark(), cards={"probe": known})
    row = one(found, "fd_corrected")
    assert row.value is None
    assert reason in row.method
    assert reason in found.probes[0].correction


def test_a_correction_larger_than_the_effect_is_warned_of():
    known = card(((150, 50), (10, 190)))
    rows = ["woman"] * 240 + ["man"] * 260
    found = measure(*tables({"none": {"-": rows}}), benchmark(), cards={"probe": known})
    assert any(w.code == "correction_exceeds_effect" for w in found.warnings)


def test_errors_that_differ_by_group_make_a_band_and_a_warning():
    """KA-47's lesson: recall of women .70 in one group, .98 in the other."""
    groups = {"race": {"Black": ((70, 30), (1, 99)), "White": ((98, 2), (3, 97))}}
    known = card(((168, 32), (4, 196)), groups=groups)
    rows = ["woman"] * 200 + ["man"] * 300
    found = measure(*tables({"none": {"-": rows}}), benchmark(), cards={"probe": known})
    low, high = one(found, "fd_corrected_low"), one(found, "fd_corrected_high")
    # q = .4: (.4 - .01) / .69 = .565 by the errors on Black, (.4 - .03) / .95 = .389 on White.
    assert low.value == pytest.approx(2**0.5 * (0.39 / 0.69 - 0.5), abs=1e-6)
    assert high.value == pytest.approx(2**0.5 * (0.5 - 0.37 / 0.95), abs=1e-6)
    assert "race White" in high.method
    assert any(w.code == "errors_differ_by_group" for w in found.warnings)


def test_pooling_that_hides_a_stereotype_is_warned_of():
    rows = {"doctor": ["woman"] * 10 + ["man"] * 90, "nurse": ["woman"] * 90 + ["man"] * 10}
    assert any(
        w.code == "pooling_hides" for w in measure(*tables({"none": rows}), benchmark()).warnings
    )
    even = {"doctor": ["woman", "man"] * 50, "nurse": ["man", "woman"] * 50}
    assert measure(*tables({"none": even}), benchmark()).warnings == ()


def test_prompts_as_a_sample_of_prompts_widen_the_interval():
    rows = {f"p{j}": ["woman"] * k + ["man"] * (20 - k) for j, k in enumerate((2, 18, 6, 15, 9))}
    images, labels = tables({"none": rows})
    fixed = one(measure(images, labels, benchmark()), "share", class_="woman")
    spec = benchmark(statistics={"inference": "prompt_population"})
    sampled = one(measure(images, labels, spec), "share", class_="woman")
    assert fixed.value == sampled.value == pytest.approx(0.5)
    assert sampled.ci_high - sampled.ci_low > 3 * (fixed.ci_high - fixed.ci_low)
    assert sampled.n_effective < 20 < fixed.n_effective


def test_three_probes_have_a_common_agreement():
    said = ["woman", "man"] * 10
    images, first = tables({"none": {"-": said}}, probe="a")
    others = [tables({"none": {"-": said}}, probe=name)[1] for name in ("b", "c")]
    found = measure(images, pd.concat([first, *others]), benchmark())
    values = {(a.statistic, len(a.probes)): a.value for a in found.agreement}
    assert values["fleiss_kappa", 3] == pytest.approx(1)
    assert values["krippendorff_alpha", 3] == pytest.approx(1)


def test_people_correct_a_probe_without_any_error_card():
    """The probe calls a third of the men women; people labelled the first 300 of 900 images."""
    truth = (["woman"] * 3 + ["man"] * 3) * 150
    said = ["woman" if i % 6 == 3 else label for i, label in enumerate(truth)]
    images, labels = tables({"none": {"-": said}})
    people = pd.DataFrame(
        {
            "arm": "none",
            "prompt_id": "-",
            "index": range(300),
            "attribute": "gender",
            "label": truth[:300],
        }
    )
    found = measure(images, labels, benchmark(), people=people)
    assert one(found, "share", class_="woman").value == pytest.approx(4 / 6)
    share = one(found, "share_ppi", class_="woman")
    assert share.value == pytest.approx(0.5)
    assert share.ci_low < 0.5 < share.ci_high


def test_probes_that_disagree_make_a_band():
    """KA-49: agreement .85, kappa .7."""
    first = ["woman"] * 50 + ["man"] * 50
    second = ["woman"] * 45 + ["man"] * 5 + ["woman"] * 10 + ["man"] * 40
    images, one_probe = tables({"none": {"-": first}}, probe="a")
    _, other = tables({"none": {"-": second}}, probe="b")
    found = measure(images, pd.concat([one_probe, other]), benchmark())
    by_name = {a.statistic: a.value for a in found.agreement}
    assert by_name["raw"] == pytest.approx(0.85)
    assert by_name["cohen_kappa"] == pytest.approx(0.7)
    low, high = one(found, "fd_smallest_probe"), one(found, "fd_largest_probe")
    assert low.value == pytest.approx(0)
    assert high.value == pytest.approx(0.05 * 2**0.5)
    assert high.method.startswith("b, of a, b")


def test_reference_populations_stand_beside_the_target():
    """KA-17: slope 2.18, mean shift -.024, amplification .119."""
    shares = {"a": 0.126, "b": 0.40, "c": 0.58, "d": 0.88}
    drawn = {"a": 2, "b": 22, "c": 66, "d": 99}
    rows = {p: ["woman"] * k + ["man"] * (100 - k) for p, k in drawn.items()}
    labour = {
        "attribute": "gender",
        "source": "a bureau of statistics",
        "year": 2024,
        "shares": {p: {"woman": r, "man": 1 - r} for p, r in shares.items()},
    }
    spec = benchmark().model_copy(update={"references": {"labour": _reference(labour)}})
    found = measure(*tables({"none": rows}), spec)
    assert one(found, "shift@labour", class_="woman").value == pytest.approx(-0.024)
    assert one(found, "amplification@labour", class_="woman").value == pytest.approx(0.119)
    slope = one(found, "slope@labour", class_="woman")
    assert slope.ci_low < 2.18 < slope.ci_high
    assert slope.extractor == "a bureau of statistics, 2024"


def _reference(plain):
    from audit.spec.benchmark import Reference

    return Reference.model_validate(plain)


def embeddings(images, *, reference=None, texts=None):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(images), 4)).astype(np.float32)
    return Embeddings("tiny", "tiny, 64 px, float32", vectors, texts or {}, reference)


def test_the_level_of_the_spec_reaches_distances_between_sets_of_images():
    images, labels = tables({"none": {"-": ["woman"] * 120}})
    reference = np.random.default_rng(1).normal(size=(120, 4))
    found = embeddings(images, reference=reference)

    def width(level, metric):
        spec = benchmark(statistics={"level": level})
        spec = spec.model_copy(update={"metrics": ("kid", "cmmd_u", "fid_infinity")})
        row = one(measure(images, labels, spec, embeddings=[found]), f"{metric}@tiny")
        assert row.level == level
        return row.ci_high - row.ci_low

    for metric, df in (("kid", 119), ("cmmd_u", 119), ("fid_infinity", 9)):
        wider = stats.t.ppf(0.995, df) / stats.t.ppf(0.95, df)
        assert width(0.99, metric) / width(0.9, metric) == pytest.approx(wider)


def test_prompts_that_are_a_sample_are_extrapolated_as_such():
    """Of nine prompts there are too few for an interval; a fixed list needs images only."""
    images, labels = tables({"none": {f"p{i}": ["woman"] * 12 for i in range(9)}})
    found = embeddings(images, reference=np.random.default_rng(1).normal(size=(108, 4)))

    def row(inference):
        spec = benchmark(statistics={"inference": inference})
        spec = spec.model_copy(update={"metrics": ("fid_infinity",)})
        return one(measure(images, labels, spec, embeddings=[found]), "fid_infinity@tiny")

    sampled, fixed = row("prompt_population"), row("fixed_prompts")
    assert sampled.method == "no interval: 9 prompts or seeds, 10 are needed"
    assert (sampled.ci_low, sampled.level) == (None, None)
    assert sampled.value is not None
    assert fixed.ci_low < fixed.value < fixed.ci_high


def test_quality_names_its_encoder_and_says_what_it_lacks():
    images, labels = tables({"none": {"-": EIGHTY}, "steer": {"-": EIGHTY}})
    spec = benchmark().model_copy(update={"metrics": ("fid", "kid", "clip_i", "clip_t")})
    bare = measure(images, labels, spec, embeddings=[embeddings(images)])
    fid = one(bare, "fid@tiny", arm="none")
    assert fid.value is None
    assert fid.method == "not measured: the benchmark names no reference_images"
    assert fid.extractor == "tiny, 64 px, float32"
    assert one(bare, "clip_t@tiny", arm="none").value is None
    same = embeddings(images)
    same.images[20:] = same.images[:20]
    reference = np.random.default_rng(1).normal(size=(50, 4))
    full = measure(
        images, labels, spec, embeddings=[dataclasses.replace(same, reference=reference)]
    )
    assert one(full, "clip_i@tiny", arm="steer").value == pytest.approx(1)
    assert one(full, "fid@tiny", arm="none").value > 0
    assert one(full, "kid@tiny", arm="none").ci_low is not None
    assert any(w.code == "few_images" for w in full.warnings)


def test_distances_between_sets_know_that_images_of_a_prompt_go_together():
    images, labels = tables({"none": {f"p{j}": ["woman"] * 10 for j in range(12)}}, seeds=False)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 4))[images["prompt_id"].factorize()[0]]
    vectors = vectors + 0.3 * rng.normal(size=vectors.shape)
    found = Embeddings("tiny", "tiny", vectors, {}, rng.normal(size=(120, 4)))
    some = {"statistics": {"inference": "prompt_population"}}
    rows = [
        one(
            measure(
                images,
                labels,
                benchmark(**given).model_copy(update={"metrics": ("kid",)}),
                embeddings=[found],
            ),
            "kid@tiny",
        )
        for given in ({}, some)
    ]
    of_list, sample = (row.ci_high - row.ci_low for row in rows)
    assert rows[0].value == rows[1].value
    assert sample > 2 * of_list


def test_a_few_shared_seeds_do_not_stand_for_the_quality_of_arms():
    """Cosines .8 and .6 throughout, but .8 too in the two images that pair."""
    images, labels = tables({"none": {"-": ["woman"] * 40}, "other": {"-": ["woman"] * 40}})
    alone = (images["arm"] == "other") & (images["index"] > 1)
    images.loc[alone, "seed"] += 10**6
    cosines = np.where(alone, 0.6, 0.8) + np.tile([0.01, -0.01], 40)
    vectors = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    found = Embeddings("tiny", "tiny", vectors, {"-": np.array([1.0, 0.0])})
    spec = benchmark().model_copy(update={"metrics": ("clip_t",)})
    told = measure(images, labels, spec, embeddings=[found]).comparisons
    change = next(d for d in told if d.metric == "clip_t@tiny")
    assert change.method == "unpaired: the arms share the seeds of 2 of 40 requests"
    assert change.value == pytest.approx(-0.19)
    other = (cosines[40:].var() + cosines[:40].var()) / 39  # Welch's, of variances over n - 1
    assert change.ci_high - change.value == pytest.approx(2.02 * other**0.5, rel=0.01)
    assert (change.n, change.dropped) == (40, 0)


def test_a_margin_says_whether_quality_is_unchanged():
    """Cosines .8 in one arm, .81 and .79 in the other: the change has se .01 / √19."""
    arms = {"none": {"-": EIGHTY}, "steer": {"-": EIGHTY}}
    images, labels = tables(arms)
    cosines = np.concatenate([np.full(20, 0.8), np.tile([0.81, 0.79], 10)])
    vectors = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    found = Embeddings("tiny", "tiny", vectors, {"-": np.array([1.0, 0.0])})
    spec = benchmark().model_copy(update={"metrics": ("clip_t",)})

    def change(**margins):
        told = measure(images, labels, spec, embeddings=[found], margins=margins)
        return next(d for d in told.comparisons if d.metric == "clip_t@tiny")

    se = 0.01 / 19**0.5
    wide, narrow = change(clip_t=0.006), change(clip_t=0.002)
    assert wide.equivalent is True
    assert wide.p_margin == pytest.approx(stats.t.sf(0.006 / se, 19))
    assert narrow.equivalent is False
    assert narrow.p == pytest.approx(1)  # no difference found, and none excluded
    assert narrow.p_margin == pytest.approx(stats.t.sf(0.002 / se, 19))
    assert (change().equivalent, change().p_margin) == (None, None)


def test_margins_apply_to_the_metrics_that_are_compared():
    alone = {
        metric.name
        for metric in every_metric()
        if metric.interval == "mean" and "pairs" not in metric.columns
    }
    assert alone == rules.COMPARED


def test_embeddings_are_laid_out_by_request_not_by_row():
    images, labels = tables({"none": {"-": EIGHTY}, "steer": {"-": EIGHTY}})
    spec = benchmark().model_copy(update={"metrics": ("clip_i",)})
    same = embeddings(images)
    same.images[20:] = same.images[:20]
    order = np.random.default_rng(2).permutation(len(images))
    mixed = dataclasses.replace(same, images=same.images[order])
    found = measure(images.iloc[order].reset_index(drop=True), labels, spec, embeddings=[mixed])
    assert one(found, "clip_i@tiny", arm="steer").value == pytest.approx(1)


def test_order_of_rows_and_of_prompts_changes_nothing():
    rows = {"a": EIGHTY, "b": ["woman", "man"] * 10}
    images, labels = tables({"none": rows})
    one_way = measure(images, labels, benchmark())
    order = np.random.default_rng(3).permutation(len(labels))
    other = measure(images, labels.iloc[order], benchmark())
    assert one_way.measurements == other.measurements


def test_holm_names_its_family():
    arms = {"none": {"-": EIGHTY}, "steer": {"-": ["woman", "man"] * 10}}
    found = measure(*tables(arms), benchmark())
    assert found.flips[0].family == "holm: 1 tests of flips"
    shares = [d for d in found.comparisons if d.metric == "share"]
    assert {d.family for d in shares} == {"holm: 2 tests of share"}


@pytest.mark.parametrize("rows", [["y", "x", "y"], ["x", "y", "y"]])
def test_the_baseline_of_a_table_does_not_hang_on_the_order_of_its_rows(rows):
    table, given = pd.DataFrame({"arm": rows}), Benchmark(labels="t.csv", attributes=("gender",))
    assert arms_of(table, table, given) == ["x", "y"]
    with_none = pd.DataFrame({"arm": [*rows, "none"]})
    assert arms_of(with_none, with_none, given) == ["none", "x", "y"]
