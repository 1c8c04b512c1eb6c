"""What each metric means, its formula and its source: for method notes and column heads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """One metric in words."""

    name: str
    meaning: str
    formula: str
    source: str


CHOI = "Choi et al. 2020, arXiv 1910.12008"
STANDARD = "textbook"

DEFINITIONS = {
    "share": Definition(
        "Share",
        "Fraction of readable images that the probe reads as a class.",
        "p = mean over prompts of (images of the class ÷ readable images)",
        "interval: Wilson 1927",
    ),
    "fd": Definition(
        "Fairness discrepancy",
        "Distance of the shares from the target. Never negative, and above 0 by chance even for a "
        "fair model: read it beside the null band.",
        "FD = √ Σ (p − t)², hard labels, plug-in",
        CHOI,
    ),
    "fd_soft": Definition(
        "FD, soft",
        "The same from the mean probabilities of the probe instead of its labels.",
        "p = mean of P(class | image)",
        CHOI,
    ),
    "fd_debiased": Definition(
        "FD, debiased",
        "The same with what chance adds taken out; 0 means indistinguishable from fair.",
        "√ max(0, FD² − tr S ÷ N), the root of the U-statistic",
        "Hoeffding 1948 (U-statistics)",
    ),
    "fd2_debiased": Definition(
        "FD², debiased",
        "Its signed square, unbiased at any sample size; a fair model is slightly negative half "
        "of the time.",
        "Σ over pairs ⟨x − t, x′ − t⟩ ÷ N(N − 1)",
        "Hoeffding 1948 (U-statistics)",
    ),
    "fd_corrected": Definition(
        "FD, corrected",
        "Fairness discrepancy after the known errors of the probe are taken out of the shares.",
        "shares p with Cᵀp = measured shares, C = confusion of the probe",
        "Rogan and Gladen 1978; CLEAM, Teo et al. 2023",
    ),
    "share_corrected": Definition(
        "Share, corrected",
        "Share after the known errors of the probe are taken out; wider, for the correction is "
        "itself uncertain.",
        "p with Cᵀp = measured shares, C = confusion of the probe",
        "Rogan and Gladen 1978",
    ),
    "parity_gap": Definition(
        "Parity gap",
        "Largest surplus minus largest deficit of a class against the target.",
        "max (p − t) − min (p − t)",
        STANDARD,
    ),
    "tv": Definition(
        "Total variation",
        "Fraction of images that would have to change class to meet the target.",
        "½ Σ |p − t|",
        STANDARD,
    ),
    "kl": Definition(
        "KL divergence", "Surprise of the shares under the target.", "Σ p ln (p ÷ t)", STANDARD
    ),
    "entropy": Definition(
        "Normalised entropy", "1 = all classes alike, 0 = one class only.", "H(p) ÷ ln K", STANDARD
    ),
    "deviation_ratio": Definition(
        "Deviation ratio",
        "Largest deviation from even shares, 1 = one class only.",
        "max |p − 1/K| ÷ (1 − 1/K)",
        "Gandikota et al. 2024, arXiv 2308.14761",
    ),
    "fid": Definition(
        "FID",
        "Distance of the images from the reference set in the embedding of the extractor named "
        "after @; biased upwards at small N.",
        "‖μ − μ′‖² + tr(Σ + Σ′ − 2(ΣΣ′)^½)",
        "Heusel et al. 2017, arXiv 1706.08500",
    ),
    "kid": Definition(
        "KID",
        "Distance from the reference set whose estimate is unbiased at any N.",
        "MMD² with the kernel (x·y ÷ d + 1)³",
        "Bińkowski et al. 2018, arXiv 1801.01401",
    ),
    "cmmd": Definition(
        "CMMD",
        "Distance from the reference set with a Gaussian kernel on CLIP embeddings.",
        "MMD² with exp(−‖x − y‖² ÷ 2σ²)",
        "Jayasumana et al. 2024, arXiv 2401.09603",
    ),
    "clip_t": Definition(
        "CLIP-T",
        "How well an image fits its prompt.",
        "mean cosine of image and prompt embedding",
        "Radford et al. 2021; Hessel et al. 2021, arXiv 2104.08718",
    ),
    "clip_i": Definition(
        "CLIP-I",
        "How much of the baseline's image is left: similarity of the pair drawn from one seed.",
        "mean cosine of the two image embeddings",
        "Ruiz et al. 2023, arXiv 2208.12242",
    ),
    "detection_rate": Definition(
        "Readable", "Fraction of images that have a reading.", "readings ÷ images", "–"
    ),
}
FORMS = {
    "_macro": "mean over prompts",
    "_worst": "worst prompt",
}


def base(metric: str) -> str:
    """Return a metric id without extractor and without the form it takes over prompts.

    >>> base("fid@inception-v3"), base("fd_debiased_worst")
    ('fid', 'fd_debiased')
    """
    name = metric.split("@")[0]
    for form in FORMS:
        name = name.removesuffix(form)
    return name


def title(metric: str) -> str:
    """Return how a metric is called in a heading.

    >>> title("fd_worst"), title("kid@portraits-clip")
    ('Fairness discrepancy, worst prompt', 'KID (portraits-clip)')
    """
    name, _, extractor = metric.partition("@")
    form = next((f", {words}" for end, words in FORMS.items() if name.endswith(end)), "")
    known = DEFINITIONS.get(base(metric))
    text = known.name if known else base(metric).replace("_", " ")
    return f"{text}{form}{f' ({extractor})' if extractor else ''}"
