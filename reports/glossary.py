"""What each metric is called, what it means and its formula: for method notes and column heads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """One metric in words; its source stands with the metric itself."""

    name: str
    meaning: str
    formula: str


DEFINITIONS = {
    "share": Definition(
        "Share", "Fraction of the images read that are of a class.", "p = images of the class ÷ N"
    ),
    "share_soft": Definition(
        "Share, soft", "The same from probabilities.", "p = mean of P(class | image)"
    ),
    "fd": Definition(
        "Fairness discrepancy",
        "Distance of the shares from the target. Above 0 by chance even for a fair model: read it "
        "beside the band.",
        "FD = √ Σ (p − t)², plug-in",
    ),
    "fd_soft": Definition(
        "FD, soft",
        "The same from the probabilities of the probe instead of its labels.",
        "√ Σ (p − t)², p = mean of P(class | image)",
    ),
    "fd_debiased": Definition(
        "FD, debiased",
        "The same with what chance adds taken out; 0 means indistinguishable from fair.",
        "√ max(0, FD² − tr S ÷ N)",
    ),
    "fd2_debiased": Definition(
        "FD², debiased",
        "Its signed square, unbiased at any sample size; a fair model is below 0 as often as not.",
        "FD² − tr S ÷ N, the mean of ⟨x − t, x′ − t⟩ over pairs of images",
    ),
    "fd2_aggregate": Definition(
        "FD², aggregate",
        "What all prompts have in common of the mean squared discrepancy.",
        "FD² of the mean of the prompts, debiased",
    ),
    "fd2_spread": Definition(
        "FD², spread",
        "What differs from prompt to prompt: the stereotypes that pooling hides.",
        "mean over prompts of ‖p of the prompt − mean p‖², debiased",
    ),
    "parity_gap": Definition(
        "Parity gap",
        "Largest surplus minus largest deficit of a class.",
        "max (p − t) − min (p − t)",
    ),
    "parity_ratio": Definition(
        "Parity ratio",
        "Smallest over largest representation; 1 is the target, 0 leaves a class out.",
        "min (p ÷ t) ÷ max (p ÷ t)",
    ),
    "tv": Definition(
        "Total variation",
        "Fraction of the images that would have to change class to meet the target.",
        "½ Σ |p − t|",
    ),
    "kl": Definition("KL divergence", "Of the shares from the target.", "Σ p ln (p ÷ t)"),
    "entropy": Definition(
        "Normalised entropy", "1 = all classes alike, 0 = one class only.", "H(p) ÷ ln K"
    ),
    "openbias": Definition("Bias intensity", "As OpenBias has it.", "1 − H(p) ÷ ln K"),
    "deviation_ratio": Definition(
        "Deviation ratio",
        "Largest deviation in parts of the largest possible.",
        "max |p − t| ÷ its maximum",
    ),
    "heim": Definition("Mean deviation", "As HEIM has it.", "mean |p − t|"),
    "uce": Definition(
        "Deviation of one class", "As UCE has it.", "|t − p| ÷ t of the first class"
    ),
    "fairimagen": Definition("Fairness", "As FairImagen has it.", "1 − TV ÷ its maximum"),
    "ordinal": Definition(
        "Ordinal distance",
        "How far images would have to move along ordered classes.",
        "Σ |CDF of p − CDF of t| ÷ (K − 1)",
    ),
    "mutual_information": Definition(
        "Mutual information",
        "How far one attribute tells the other: fair one by one may be coupled together.",
        "Σ p(a, b) ln (p(a, b) ÷ p(a) p(b))",
    ),
    "obeyed": Definition(
        "As asked",
        "Of the images whose prompt asks for a class, the fraction read as that class.",
        "read as asked ÷ N",
    ),
    "detection_rate": Definition(
        "Readable", "Fraction of the images with a reading.", "N ÷ images"
    ),
    "fid": Definition(
        "FID",
        "Distance of the images from the reference in an embedding; biased upwards at small N.",
        "‖μ − μ′‖² + tr (Σ + Σ′ − 2 (ΣΣ′)^½)",
    ),
    "fid_infinity": Definition(
        "FID∞", "FID extrapolated to infinitely many images.", "intercept of FID on 1 ÷ N"
    ),
    "kid": Definition(
        "KID × 1000",
        "Distance from the reference whose estimate is unbiased at any N, times 1000.",
        "1000 · MMD² with the kernel (x·y ÷ d + 1)³",
    ),
    "cmmd": Definition(
        "CMMD",
        "Distance from the reference in CLIP embeddings.",
        "1000 · MMD² with exp (−‖x − y‖² ÷ 2σ²)",
    ),
    "clip_t": Definition(
        "CLIP-T", "How well an image fits its prompt.", "mean cosine of image and prompt"
    ),
    "clip_i": Definition(
        "CLIP-I",
        "How much of the baseline's image is left in the image of the same seed.",
        "mean cosine of the two images",
    ),
}
ROOTS = "fd_debiased"
"""Its squares are averaged over prompts, and the root is taken once."""
FORMS = {
    "_macro": "mean over prompts",
    "_worst": "worst prompt",
    "_corrected": "corrected for probe errors",
    "_ppi": "with human labels",
    "_missing_low": "best case of missing readings",
    "_missing_high": "worst case of missing readings",
    "_p_null": "p against a fair model",
    "_p_bh": "p, false discovery rate",
    "_change": "change against the baseline",
}
"""Endings of metric ids, and what they say of the metric."""
FORM_DEFINITIONS = {
    "_macro": Definition(
        "Over prompts",
        "Every prompt weighs the same. Of FD, debiased, it is a root mean square: squares may be "
        "averaged without a bias, roots may not; prompts far from the target count most. Of every "
        "other metric it is the plain mean.",
        "√ max(0, mean over prompts of FD², debiased)",
    ),
    "_worst": Definition(
        "Worst prompt",
        "The prompt that is farthest from fair. Its interval allows for its being picked as the "
        "worst of many, so it is wider than the prompt's own.",
        "max over prompts",
    ),
    "_corrected": Definition(
        "Corrected",
        "The shares that, misread as often as the error card of the probe says, give those that "
        "were read. It holds if the probe errs on these images as on those of its card; how "
        "surely the card knows the errors is in the interval.",
        "p with p(read k) = Σ p(y) · P(read k | is y)",
    ),
    "_ppi": Definition(
        "With human labels",
        "The shares read in all images, set right by what people saw in a random sample of them: "
        "a reading counts as the people who were read so were labelled, drawn towards all labels.",
        "Σ share read as b · ((1 − ω) · mean label + ω · mean label of b), ω = 1 / (1 + n/N)",
    ),
    "_missing_low": Definition(
        "Worst cases of missing readings",
        "The least and the most that the number would be, whatever class the unread images are "
        "of.",
        "min and max over the classes of the unread images",
    ),
}
"""Forms of metrics, by the ending that has them."""
NULL_BAND = Definition(
    "Fair up to (null band)",
    "What a model whose shares are exactly the target's would show by chance: most of such models "
    "stay below its end at this number of images. A value inside it cannot be told from fair.",
    "quantile, at the level of the intervals, of FD of N images drawn from the target",
)


def base(metric: str) -> str:
    """Return a metric id without extractor and without the forms that it takes.

    >>> base("fid@inception-v3"), base("fd_debiased_worst"), base("fd_corrected_p_null")
    ('fid', 'fd_debiased', 'fd')
    """
    name = metric.split("@")[0]
    while form := next((f for f in FORMS if name.endswith(f)), ""):
        name = name.removesuffix(form)
    return name


def title(metric: str) -> str:
    """Return how a metric is called in a heading.

    >>> title("fd_worst"), title("kid@portraits-clip")
    ('Fairness discrepancy, worst prompt', 'KID × 1000 (portraits-clip)')
    >>> title("fd_debiased_macro")
    'FD, debiased, root mean square over prompts'
    """
    name, _, extractor = metric.partition("@")
    ends = name.removeprefix(base(metric))
    forms = [words for end, words in FORMS.items() if end in ends]
    if base(metric) == ROOTS:
        forms = [f"root {words.replace('mean', 'mean square')}" if words == FORMS["_macro"]
                 else words for words in forms]  # fmt: skip
    known = DEFINITIONS.get(base(metric))
    text = known.name if known else base(metric).replace("_", " ")
    return ", ".join([text, *forms]) + (f" ({extractor})" if extractor else "")
