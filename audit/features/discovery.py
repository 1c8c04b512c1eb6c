"""Discovery: draw under a recording edit, label, train an SAE, fit heads, rank latents.

The one difference to an ordinary run is the edit at the hookpoint, which notes what passes. What
is found is kept in a folder named after everything that made it, and read from there next time.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from audit.errors import InputError
from audit.features import dissection, hookpoints, sae_formats
from audit.features.dissecting import dissect
from audit.features.dissection import Dissection
from audit.features.dose_response import with_doses
from audit.features.recorded import (
    SECOND,
    SECOND_SEED,
    TOKENS,
    Recorded,
    keep_sae,
    open_recorded,
    open_recording,
    record,
    train_sae,
)
from audit.features.sae import SAE
from audit.features.study import Study, placed
from audit.spec.feature_sets import AUTO, Features
from audit.storage.scratch import resumable, whole
from audit.storage.weights import fingerprint
from audit.types import Model, Probe

SCHEME = 5
"""Enters the name of the folder; raised when this code finds other things in the same model."""
EVIDENCE = 5
"""Enters the name of a dissection alone; raised when the same recording tells other things."""
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Of the dose-response, in units of what tells images of a class from others, by latent."""
DOSE_IMAGES = 40
"""Images steered with each scale, to every class equally often."""
log = logging.getLogger(__name__)


def discover(
    model: Model,
    probe: Probe,
    wanted: Features,
    *,
    folder: Path,
    steps: int,
    guidance_scale: float = 1.0,
    batch_size: int = 32,
    scales: Sequence[float] = SCALES,
    progress: Callable[[str], None] = log.info,
) -> Dissection:
    """Find the latents of a model that carry an attribute, or read what was found before.

    Args:
        model: To dissect.
        probe: Labels the images drawn; should not be the only judge of a steered model.
        wanted: Hookpoint, SAE, ranking and how many images.
        folder: Where recordings and dissections are kept, one folder each.
        steps: Sampling steps.
        guidance_scale: 1 for an unconditional model.
        batch_size: Images drawn at a time.
        scales: Of the dose-response, rising; empty for none.
        progress: Told what is being done.

    Raises:
        SpecError: the attribute or the hookpoint is unknown, or prompts are missing.
        InputError: the images show too few of a class, too many of them or of their activations
            did not come out, or the SAE given does not fit.
        RefusedError: the SAE given is a pickle.
    """
    at = placed(model, probe, wanted)
    study = Study(model, probe, at, steps, guidance_scale, batch_size)
    given = sae_formats.load(Path(wanted.sae.path)) if wanted.sae.path else None
    study, choice = _chosen(study, folder, progress)
    if given:
        _check_width(given, study)
    wanted = study.wanted
    drawn = (SCHEME, study.drawing, wanted.images, wanted.hookpoint)
    sae = given.fingerprint if given else fingerprint(wanted.sae.model_dump_json(), TOKENS)
    found_in = folder / fingerprint(*drawn, sae, *_asked(wanted, scales, choice))
    if (found_in / dissection.FILE).is_file():
        return dissection.load(found_in)
    recorded = _recorded(study, folder / fingerprint(*drawn), f"sae-{sae}", given, progress)
    with whole(found_in) as scratch:
        progress(f"ranking latents for {wanted.attribute}")
        found = dissect(study, recorded, scratch)
        if choice is not None:
            found = replace(found, evidence={**found.evidence, "hookpoints": choice.plain()})
        if scales:
            progress(f"dose-response of {wanted.attribute} over {len(scales)} scales")
            found = _dosed(study, found, scales)
        found.save(scratch)
    return replace(found, folder=found_in)


def _asked(
    wanted: Features, scales: Sequence[float], choice: hookpoints.Choice | None
) -> tuple[object, ...]:
    """Return what a dissection hangs on besides its recording and its SAE."""
    ranking = (wanted.ranking.name, sorted(wanted.ranking.options.items()), wanted.top)
    tried = choice and tuple(candidate.hookpoint for candidate in choice.candidates)
    of_wanted = (wanted.attribute, ranking, wanted.baseline, wanted.adjust_for)
    return (EVIDENCE, *of_wanted, tuple(scales), wanted.stability, tried)


def _chosen(
    study: Study, folder: Path, progress: Callable[[str], None]
) -> tuple[Study, hookpoints.Choice | None]:
    """Return the study at the hookpoint asked for, or at the one chosen and why."""
    if study.wanted.hookpoint != AUTO:
        return study, None
    names = hookpoints.candidates(study)
    progress(f"measuring the effect of a push at {len(names)} hookpoints")
    made_of = ("hookpoints", hookpoints.SCHEME, study.drawing, study.wanted.attribute, names)
    choice = hookpoints.choose(study, folder / fingerprint(*made_of))
    wanted = study.wanted.model_copy(update={"hookpoint": choice.chosen})
    return replace(study, wanted=wanted), choice


def _dosed(study: Study, found: Dissection, scales: Sequence[float]) -> Dissection:
    """Return a dissection with what the probe reads under each scale, on seeds of its own."""
    # The same prompts under every scale.
    doses = {scale: study.requests(f"doses/{scale:g}", DOSE_IMAGES) for scale in scales}
    return with_doses(study.model, study.probe, found, doses, study.batch_size)


def _check_width(sae: SAE, study: Study) -> None:
    """See that a given SAE reads what passes at the hookpoint, before anything is drawn."""
    channels = study.model.hookpoints.get(study.wanted.hookpoint)
    width = sae.config["width"]
    if channels is not None and sae.config["layout"] == "positions" and width != channels:
        raise InputError(
            f"the SAE reads tokens of width {width}, and {study.wanted.hookpoint} has {channels}"
        )


def _recorded(
    study: Study, home: Path, sae: str, given: SAE | None, progress: Callable[[str], None]
) -> Recorded:
    """Return the recording in a folder, and its SAE in one inside; make what is missing."""
    wanted = study.wanted
    if not home.is_dir():
        with resumable(home) as begun:
            if begun is not None:
                progress(f"drawing {wanted.images} images to dissect the model")
                record(study, study.requests("discovery", wanted.images), begun)
    recording, trained = open_recording(home, study.device), home / sae
    if not trained.is_dir():
        with whole(trained) as scratch:
            if given is not None:
                keep_sae(given, recording, scratch)
            else:
                progress("training the sparse autoencoder")
                train_sae(wanted, recording, scratch, seed=wanted.seed)
    again = wanted.stability and given is None
    if again and not (trained / SECOND).is_dir():
        with whole(trained / SECOND) as scratch:
            progress("training it again from another seed")
            train_sae(wanted, recording, scratch, seed=wanted.seed + SECOND_SEED)
    return open_recorded(recording, home, trained, second=again)
