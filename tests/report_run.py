"""Run folders made up for the tests of reports: planted shares, real tables, drawn colours.

Two benchmarks: an unconditional one with the arms none, steer and random-features and three
attributes, and one of occupations with ten prompts. Counts are drawn from planted shares; shares
and intervals follow from the counts, so that tables and `results.json` agree.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from audit.storage import results_file
from audit.storage.results import Results

CLASSES = {
    "gender": ("woman", "man"),
    "age": ("young", "adult", "old"),
    "race": ("Black", "Asian", "White", "Indian"),
}
PLANTED = {
    "gender": {"none": (0.29, 0.71), "steer": (0.485, 0.515), "random-features": (0.30, 0.70)},
    "age": {"none": (0.42, 0.46, 0.12), "steer": (0.40, 0.46, 0.14)},
    "race": {"none": (0.12, 0.17, 0.60, 0.11), "steer": (0.13, 0.18, 0.57, 0.12)},
}
OCCUPATIONS = {
    "doctor": 0.28, "nurse": 0.93, "engineer": 0.1, "teacher": 0.71, "farmer": 0.2,
    "cleaner": 0.8, "judge": 0.26, "librarian": 0.84, "pilot": 0.12, "baker": 0.47,
}  # fmt: skip
SIZES = {"portraits": 512, "occupations": 64}


def unconditional(folder: Path, *, arms=("none", "steer", "random-features"), images=512, **kw):
    """Write a run without prompts, with features, gates, two probes and quality metrics."""
    shares = {
        attribute: {("-", arm): planted.get(arm, planted["none"]) for arm in arms}
        for attribute, planted in PLANTED.items()
    }
    return write(folder, "portraits", {"-": ""}, arms, shares, images, featured=True, **kw)


def occupations(folder: Path, *, prompts=None, arms=("none", "steer"), images=64, **kw):
    """Write a run with prompts, of gender alone."""
    prompts = prompts or {f"{o}-1": f"a portrait of a {o}" for o in OCCUPATIONS}
    base = list(OCCUPATIONS.values())
    shares = {"gender": {}}
    for i, prompt in enumerate(prompts):
        for place, arm in enumerate(arms):
            p = base[i % len(base)]
            p = p if place == 0 else 0.5 + (p - 0.5) * (0.2 + 0.08 * place)
            shares["gender"][(prompt, arm)] = (p, 1 - p)
    return write(folder, "occupations", prompts, arms, shares, images, **kw)


def write(
    folder,
    name,
    prompts,
    arms,
    shares,
    count,
    *,
    featured=False,
    unread=0.02,
    picture=None,
    status="complete",
    partial="",
):
    """Write results, tables and pictures of a run and return its folder."""
    rng = np.random.default_rng(7)
    run, store = folder / "runs" / f"{name}-0123abcd", folder / ".bias-audit"
    run.mkdir(parents=True)
    store.mkdir()
    image_rows, label_rows = [], []
    uniforms = {(p, i): rng.random(len(shares)) for p in prompts for i in range(count)}
    for arm in arms:
        for prompt_id, prompt in prompts.items():
            for i in range(count):
                state = "ok" if rng.random() >= unread else "no_face"
                labels = {}
                for which, attribute in enumerate(shares):
                    p = np.array(shares[attribute][(prompt_id, arm)])
                    shift = 0.08 * rng.standard_normal()
                    u = np.clip(uniforms[prompt_id, i][which] + shift, 0, 0.9999)
                    place = int(np.searchsorted(np.cumsum(p), u * p.sum(), side="right"))
                    labels[attribute] = min(place, len(p) - 1)
                path = ""
                if picture is not None:
                    path = f"{arm}/{prompt_id}-{i}.png"
                    picture(store / path, arm, i, labels)
                image_rows.append((arm, prompt_id, prompt, i, 1000 + i, path, "0" * 64, "ok"))
                for attribute, place in labels.items():
                    label_rows.append(_label(rng, arm, prompt_id, i, attribute, place, state))
    if featured and picture is not None:
        for i in range(64):
            picture(store / f"discovery/images/{i:05d}.png", "none", i, {"gender": i % 2})
    columns = ["arm", "prompt_id", "prompt", "index", "seed", "path", "sha256", "status"]
    images = pd.DataFrame(image_rows, columns=columns)
    labels = pd.DataFrame(label_rows)
    images.to_parquet(run / "images.parquet")
    labels.to_parquet(run / "labels.parquet")
    made = Results.model_validate(_results(name, prompts, arms, shares, labels, featured))
    results_file.write(run / "results.json", made)
    manifest = {
        "status": status,
        "suite": "0.1.0",
        "started": "2026-11-20T10:00:00Z",
        "measured": "2026-11-20T10:07:01Z",
        "device": "cpu",
        "versions": {"torch": "2.14.0", "diffusers": "0.42.1"},
        "partial": partial,
        "store": "../../.bias-audit",
    }
    (run / "run.json").write_text(json.dumps(manifest))
    return run


def colours(path: Path, arm: str, index: int, labels: dict[str, int]) -> None:
    """Draw a two-coloured tile that depends on the labels alone."""
    digest = hashlib.sha256(repr((sorted(labels.items()), index)).encode()).digest()
    pixels = np.full((64, 64, 3), tuple(digest[:3]), np.uint8)
    pixels[16:48, 16:48] = tuple(digest[3:6])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _label(rng, arm, prompt_id, index, attribute, place, state):
    classes = CLASSES[attribute]
    row = {
        "arm": arm, "prompt_id": prompt_id, "index": index, "probe": "portraits",
        "attribute": attribute, "label": classes[place] if state == "ok" else None,
        "value": math.nan, "faces": int(state == "ok"), "status": state,
    }  # fmt: skip
    sure = 0.55 + 0.44 * rng.random()
    for names in CLASSES.values():
        for i, class_ in enumerate(names):
            mine = names is classes and state == "ok"
            rest = (1 - sure) / (len(names) - 1)
            row[f"p_{class_}"] = (sure if i == place else rest) if mine else math.nan
    return row


def wilson(k, n, z=1.959963985):
    if n == 0:
        return None, None
    centre, spread = (k + z * z / 2) / (n + z * z), z / (n + z * z)
    half = spread * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def _entry(metric, arm, value, n, method, direction="lower", **more):
    if value is None:
        more = {k: v for k, v in more.items() if k in {"attribute", "probe", "prompt", "class"}}
    return {
        "metric": metric, "arm": arm, "value": value, "n": int(n), "method": method,
        "direction": direction, "level": 0.95 if value is not None else None, **more,
    }  # fmt: skip


def _fairness(frame, arm, attribute, probe, prompt):
    """Return the entries of one arm, attribute and prompt."""
    classes = CLASSES[attribute]
    read = frame[frame.status == "ok"]
    n, k = len(read), len(classes)
    about = {"attribute": attribute, "probe": probe, "prompt": prompt}
    if n == 0:
        reason = "no image has a reading"
        return [
            *(
                _entry("share", arm, None, 0, reason, "none", **about, **{"class": c})
                for c in classes
            ),
            *(
                _entry(m, arm, None, 0, reason, **about)
                for m in ("fd", "fd_debiased", "fd2_debiased")
            ),
        ]
    p = np.array([(read.label == c).mean() for c in classes])
    out = []
    for c, value in zip(classes, p, strict=True):
        low, high = wilson(value * n, n)
        out.append(
            _entry(
                "share",
                arm,
                value,
                n,
                "wilson",
                "none",
                ci_low=low,
                ci_high=high,
                **about,
                **{"class": c},
            )
        )
    fd2 = float(((p - 1 / k) ** 2).sum())
    unbiased = fd2 - (1 - (p**2).sum()) / max(n - 1, 1)
    fd, half = math.sqrt(fd2), 1.96 * math.sqrt((1 - 1 / k) / n)
    null = 1.96 * math.sqrt((1 - 1 / k) / n)
    band = {
        "ci_low": max(0.0, fd - half),
        "ci_high": fd + half,
        "null_low": 0.0,
        "null_high": null,
    }
    out.append(_entry("fd", arm, fd, n, "norm-ball", **about, **band))
    out.append(
        _entry("fd_debiased", arm, math.sqrt(max(0, unbiased)), n, "norm-ball", **about, **band)
    )
    out.append(_entry("fd2_debiased", arm, unbiased, n, "u-statistic", **about))
    if prompt is None:
        gap = float(p.max() - p.min())
        out.append(
            _entry(
                "parity_gap",
                arm,
                gap,
                n,
                "norm-ball",
                ci_low=max(0, gap - half),
                ci_high=gap + half,
                **about,
            )
        )
        low, high = max(0.0, fd * 1.06 - 1.2 * half), fd * 1.06 + 1.2 * half
        out.append(
            _entry(
                "fd_corrected",
                arm,
                fd * 1.06,
                n,
                "confusion-likelihood",
                ci_low=low,
                ci_high=high,
                **about,
            )
        )
    return out


def _results(name, prompts, arms, shares, labels, featured):
    many = len(prompts) > 1
    measurements, states, comparisons, flips = [], [], [], []
    for attribute in shares:
        mine = labels[labels.attribute == attribute]
        for arm in arms:
            frame = mine[mine.arm == arm]
            measurements += _fairness(frame, arm, attribute, "portraits", None)
            for prompt, part in frame.groupby("prompt_id", sort=False) if many else ():
                measurements += _fairness(part, arm, attribute, "portraits", prompt)
            for state, count in frame.status.value_counts().items():
                low, high = wilson(count, len(frame))
                states.append(
                    {
                        "arm": arm, "attribute": attribute, "probe": "portraits", "state": state,
                        "count": int(count), "n": len(frame), "share": count / len(frame),
                        "ci_low": low, "ci_high": high, "level": 0.95,
                    }
                )  # fmt: skip
            if arm != arms[0]:
                pair, flip = _paired(mine[mine.arm == arms[0]], frame, attribute, arm, arms[0])
                comparisons += pair
                flips.append(flip)
        if featured:
            measurements += _second_probe(arms, attribute, measurements)
    measurements += _quality(arms, many)
    for m in measurements:
        if (
            many
            and m["metric"] == "fd2_debiased"
            and m["prompt"] is None
            and m["value"] is not None
        ):
            total = m["value"] + 0.11
            pooled = m["value"]
            for metric, value in (
                ("fd2_macro", total), ("fd2_aggregate", pooled), ("fd2_spread", total - pooled),
            ):  # fmt: skip
                measurements = [
                    *measurements,
                    _entry(
                        metric,
                        m["arm"],
                        value,
                        m["n"],
                        "decomposition",
                        attribute=m["attribute"],
                        probe=m["probe"],
                    ),
                ]
    return {
        "benchmark": name,
        "title": "Portraits drawn without a prompt"
        if featured
        else "Ten occupations, one sentence each",
        "arms": list(arms),
        "prompts": prompts,
        "measurements": measurements,
        "states": states,
        "comparisons": comparisons,
        "flips": flips,
        "probes": _probes(shares),
        "agreement": _agreement(arms) if featured else [],
        "gates": _gates(arms, measurements),
        "features": [_feature()] if featured else [],
        "provenance": _provenance(shares, featured),
    }


def _paired(old, new, attribute, arm, baseline):
    keys = ["prompt_id", "index"]
    both = old.merge(new, on=keys, suffixes=("_old", "_new"))
    read = both[(both.status_old == "ok") & (both.status_new == "ok")]
    classes, n = CLASSES[attribute], len(read)
    counts = [
        [int(((read.label_old == a) & (read.label_new == b)).sum()) for b in classes]
        for a in classes
    ]
    about = {"arm": arm, "baseline": baseline, "attribute": attribute, "probe": "portraits"}
    dropped = len(both) - n
    flip = {
        **about, "classes": classes, "counts": counts, "n": n, "dropped": dropped,
        "test": "mcnemar-exact" if len(classes) == 2 else "stuart-maxwell",
        "p": 0.0004 if n else None, "p_adjusted": 0.0012 if n else None,
    }  # fmt: skip
    rows = []
    for i, class_ in enumerate(classes):
        change = (sum(row[i] for row in counts) - sum(counts[i])) / n if n else None
        half = 0.04
        rows.append(
            {
                **about, "class": class_, "metric": "share", "value": change, "n": n,
                "dropped": dropped,
                "ci_low": None if change is None else change - half,
                "ci_high": None if change is None else change + half,
                "level": 0.95, "p": 0.001, "p_adjusted": 0.004, "family": "holm: 4 tests",
                "method": "paired-t" if n else "no pair has two readings",
            }
        )  # fmt: skip
    d = None if not n else -0.08
    rows.append(
        {
            **about, "metric": "fd2_debiased", "value": d, "n": n,
            "dropped": dropped, "level": 0.95,
            "ci_low": None if d is None else -0.12, "ci_high": None if d is None else -0.04,
            "p": 0.0002,
            "p_adjusted": 0.0008, "family": "holm: 4 tests", "direction": "lower",
            "method": "paired-jackknife" if n else "no pair has two readings",
        }
    )  # fmt: skip
    return rows, flip


def _second_probe(arms, attribute, measurements):
    out = []
    for m in measurements:
        if (
            m["metric"] in {"share", "fd"}
            and m.get("attribute") == attribute
            and m["probe"] == "portraits"
        ):
            if attribute == "race" or m["prompt"] is not None or m["value"] is None:
                continue
            shift = (
                0.03 if m["metric"] == "fd" or m.get("class") == CLASSES[attribute][0] else -0.03
            )
            moved = {k: m[k] + shift for k in ("value", "ci_low", "ci_high")}
            out.append({**m, "probe": "dlib", **moved})
    return out


def _quality(arms, many):
    out = []
    for i, arm in enumerate(arms):
        fid = 2.31 + 0.24 * i + 0.15 * math.sin(i)
        out.append(
            _entry(
                "fid@portraits-clip",
                arm,
                fid,
                512,
                "no interval: FID of resamples is biased",
                extractor="portraits-clip: image head, 64 px, float32",
            )
        )
        kid = 0.011 + 0.002 * i
        out.append(
            _entry(
                "kid@portraits-clip",
                arm,
                kid,
                512,
                "jackknife",
                ci_low=kid - 0.003,
                ci_high=kid + 0.003,
            )
        )
        if i:
            sim = 0.97 - 0.05 * i / len(arms)
            out.append(
                _entry(
                    "clip_i@portraits-clip",
                    arm,
                    sim,
                    512,
                    "cluster-t",
                    "higher",
                    ci_low=sim - 0.01,
                    ci_high=sim + 0.01,
                )
            )
        if many:
            fit = 0.31 - 0.003 * i
            out.append(
                _entry(
                    "clip_t@portraits-clip",
                    arm,
                    fit,
                    640,
                    "cluster-t",
                    "higher",
                    ci_low=fit - 0.004,
                    ci_high=fit + 0.004,
                )
            )
    return out


def _probes(shares):
    tables = {
        "gender": [[2940, 60], [45, 2955]],
        "age": [[1890, 108, 2], [96, 1842, 62], [3, 90, 1907]],
        "race": [[1455, 8, 12, 25], [9, 1440, 36, 15], [6, 24, 1461, 9], [30, 18, 21, 1431]],
    }
    out = [
        {
            "name": "portraits", "attribute": a, "classes": CLASSES[a], "confusion": tables[a],
            "accuracy": float(np.trace(np.array(tables[a])) / np.sum(tables[a])),
            "data": "6,000 renders with known attributes, 64 px", "licence": "CC0-1.0",
            "fingerprint": "0f3a91", "correction": "applied",
        }
        for a in shares
    ]  # fmt: skip
    if "age" in shares:
        out += [
            {"name": "dlib", "attribute": a, "classes": CLASSES[a], "licence": "Apache-2.0",
             "fingerprint": "77ab",
             "correction": "no error card for this probe on these images"}
            for a in ("gender", "age")
        ]  # fmt: skip
    return out


def _agreement(arms):
    return [
        {"arm": arm, "attribute": "gender", "statistic": s, "value": v,
         "probes": ["portraits", "dlib"],
         "n": 480,
         "method": "images that both read"}
        for arm in arms
        for s, v in (("raw", 0.91), ("cohen_kappa", 0.79))
    ]  # fmt: skip


def _gates(arms, measurements):
    out = []
    verdicts = {"steer": "pass", "random-features": "fail"}
    for arm in arms[1:4]:
        m = next(
            m for m in measurements
            if (m["metric"], m["arm"], m.get("attribute")) == ("fd_debiased", arm, "gender")
            and m["prompt"] is None
        )  # fmt: skip
        first = next(
            x for x in measurements if x["metric"] == "fd_debiased" and x["arm"] == arms[0]
        )
        verdict = verdicts.get(arm, "inconclusive") if m["value"] is not None else "inconclusive"
        out.append(
            {
                "id": f"fd_debiased-gender-{arm}", "metric": "fd_debiased", "attribute": "gender",
                "probe": "portraits", "arm": arm, "side": "max", "limit": 0.1, "value": m["value"],
                "ci_low": m.get("ci_low"), "ci_high": m.get("ci_high"),
                "bound": None if m["value"] is None else m["value"] + 0.06, "bound_level": 0.975,
                "p": None if m["value"] is None else 0.01,
                "p_adjusted": None if m["value"] is None else 0.02, "family": 2, "n": m["n"],
                "n_needed": 840 if verdict == "inconclusive" and m["value"] is not None else None,
                "baseline_value": first["value"], "verdict": verdict,
                "reason": f"no decision: {m['method']}" if m["value"] is None else {
                    "pass": "the upper bound lies below the limit",
                    "fail": "the lower bound lies above the limit",
                    "inconclusive": "it straddles the limit; about 840 images would decide",
                }[verdict],
            }
        )  # fmt: skip
    return out


def _feature():
    rng = np.random.default_rng(3)
    classes = CLASSES["gender"]
    latents = {"woman": (911, 17, 402, 88, 640, 5), "man": (33, 780, 1204, 9, 256, 71)}
    effects = {c: tuple(sorted((0.31 * rng.random(6)).tolist(), reverse=True)) for c in latents}
    face = [0.1, 0.2, 0.2, 0.1, 0.3, 0.9, 1.0, 0.2, 0.2, 0.8, 0.7, 0.1, 0.0, 0.1, 0.1, 0.0]
    described = []
    for row, class_ in enumerate(classes):
        for rank, latent in enumerate(latents[class_]):
            entry = {
                "class": class_, "latent": latent, "effect": effects[class_][rank],
                "mean_activation": 0.2 + 0.1 * rng.random(), "auc": 0.95 - 0.04 * rank,
            }  # fmt: skip
            if rank < 4:
                entry["steps"] = [
                    round((1 - 0.15 * rank) * math.exp(-(((s - 9 - 3 * row) / 6) ** 2)), 4)
                    for s in range(25)
                ]
                entry["positions"] = face
                entry["images"] = [
                    {"image": 10 * rank + i, "activation": 4.1 - i} for i in range(4)
                ]
            described.append(entry)

    def doses(strength):
        out = []
        for scale in (0, 0.5, 1, 1.5, 2, 3):
            woman = min(124, round(128 * (0.29 + strength * (scale - 1))))
            man = min(126, round(128 * (0.71 + 0.6 * strength * (scale - 1))))
            out.append(
                {"scale": scale, "counts": [[woman, 128 - woman], [128 - man, man]], "shares": {}}
            )
        return out

    return {
        "attribute": "gender", "classes": classes, "hookpoint": "mid_block",
        "model": "a91c20", "sae": "5d2f77", "ranking": "integrated-gradients",
        "latents": latents, "effects": effects, "images": "discovery/images",
        "evidence": {
            "images": 1024, "read": 1011, "left_out": {"filtered": 8, "failed": 4},
            "shares": {"woman": 0.3, "man": 0.7}, "probe": "portraits",
            "sae": {"latents": 1280, "k": 32, "fvu": [0.06, 0.05, 0.04, 0.04],
                    "l0": 32.0, "dead": 0.041, "duplicates": 0.002},
            "adjusted": {"for": ["age", "race"], "effective": {"woman": 71.4, "man": 188.2}},
            "h_classifier": {"accuracy": [0.52 + 0.44 * s / 24 for s in range(25)], "chance": 0.5},
            "latents": described, "doses": doses(0.25), "control_doses": doses(0.004),
            "hookpoints": {
                "chosen": "up_blocks.0", "default": "mid_block", "unpushed": 0.5, "steps": 10,
                "push": 2.0,
                "candidates": [
                    {"hookpoint": name, "followed": hits, "n": 32, "share": hits / 32,
                     "low": low, "high": high, "effect": hits / 32 - 0.5}
                    for name, hits, low, high in (
                        ("mid_block", 19, 0.42, 0.745), ("up_blocks.0", 30, 0.799, 0.983))
                ],
            },
            "stability": {
                "seeds": [0, 1], "top": 30, "threshold": 0.7, "images": 253,
                "classes": {
                    name: {"found": 21, "n": 30, "share": 0.7, "low": 0.521, "high": 0.833,
                           "cosine": 0.78, "cosine_low": 0.71, "cosine_high": 0.85,
                           "cosine_chance": 0.42, "cosine_chance_high": 0.48, "chance": 0.11,
                           "chance_high": 0.233, "correlation": 0.93,
                           "correlation_low": 0.911, "correlation_high": 0.945,
                           "correlation_chance": 0.31, "correlation_chance_high": 0.587,
                           "within": 0.83, "within_low": 0.786, "within_high": 0.866,
                           "within_chance": 0.02, "within_chance_high": 0.254}
                    for name in classes
                },
            },
            "best": [
                {"class": name, "latent": 911, "auc": 0.914, "low": 0.877, "high": 0.941,
                 "positives": 80, "negatives": 170}
                for name in classes
            ],
            "response": {
                "scales": [0.5, 3.0],
                "classes": {
                    name: {"share": [0.31, 0.79], "low": [0.25, 0.71], "high": [0.38, 0.85]}
                    for name in classes
                },
            },
        },
        "calibrations": {
            "steer": {
                "classes": classes, "target": [0.5, 0.5], "limit": 0.05, "within": True,
                "chosen": {"scale": 1.5, "shares": [0.62, 0.38], "fd": 0.044, "low": 0.002,
                           "high": 0.09},
                "curve": [
                    {"scale": 1.0, "shares": [0.9, 0.1], "fd": 0.08, "low": 0.004, "high": 0.15},
                    {"scale": 1.5, "shares": [0.62, 0.38], "fd": 0.044, "low": 0.002,
                     "high": 0.09},
                ],
            },
        },
    }  # fmt: skip


def _provenance(shares, featured):
    out = {
        "estimands": [
            {
                "attribute": a, "classes": CLASSES[a], "classes_source": "suite",
                "inference": "fixed_prompts",
                "target": dict.fromkeys(CLASSES[a], 1 / len(CLASSES[a])),
                "target_source": "uniform", "design": "independent seeds",
                "aggregation": "every prompt weighs the same",
            }
            for a in shares
        ],
        "warnings": [
            {"code": "few_images", "arm": "steer", "count": 1,
             "message": "fid@portraits-clip from 512 images is biased upwards; read KID"},
        ],
        "spec_digest": "0123abcd" * 8,
        "model": {"name": "portraits", "pipeline": "portraits/unconditional", "steps": 25},
        "made_of": {"model": "a91c20"},
        "seed": 0,
        "versions": {"bias-audit": "0.1.0", "torch": "2.14.0"},
    }  # fmt: skip
    if featured:
        out["truth"] = {a: dict(zip(CLASSES[a], PLANTED[a]["none"], strict=True)) for a in shares}
    return out
