"""Contract tests of models and mitigations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from audit.errors import SpecError
from audit.testing.promises import Other, close, identity, pure, require
from audit.types import Drawing, Images, Mitigation, Model, Request


def check_model(
    build: Callable[[], Model],
    requests: Sequence[Request],
    *,
    others: Sequence[Other] = (),
    tolerance: int = 0,
) -> None:
    """Check that a model keeps what `audit.types.Model` promises.

    Args:
        build: Builds the model; called twice, and both must draw alike.
        requests: Three or more, with distinct seeds.
        others: Builders with other options: each must change the fingerprint.
        tolerance: Largest difference of a channel, 0 to 255, when images are batched otherwise.
    """
    model = build()
    require(isinstance(model, Model), "a model has all that audit.types.Model names")
    identity(build, others)
    with pure():
        drawing = model.generate(requests)
    _drawing(drawing, len(requests))
    again = build().generate(requests)
    close(drawing.images, again.images, 0, "a model built alike draws alike")
    singly = np.concatenate([model.generate([request]).images for request in requests])
    close(drawing.images, singly, tolerance, "an image does not depend on the batch")
    for hookpoint, channels in model.hookpoints.items():
        _hookpoint(model, hookpoint, channels, requests, drawing.images)
    try:
        with model.hooked("no such hookpoint", lambda x, moment: x):
            pass
    except SpecError:
        return
    raise AssertionError("an unknown hookpoint is a SpecError")


def check_mitigation(
    build: Callable[[], Mitigation],
    model: Model,
    requests: Sequence[Request],
    *,
    others: Sequence[Other] = (),
    tolerance: int = 0,
) -> None:
    """Check that a mitigation acts while it is applied, the same for any batch, and no longer."""
    mitigation = build()
    require(isinstance(mitigation, Mitigation), "a mitigation has fingerprint and applied")
    identity(build, others)
    before = model.generate(requests).images

    def mitigated(batches: Sequence[Sequence[Request]]) -> Images:
        with build().applied(model) as changed:
            require(isinstance(changed, Model), "applied yields a model")
            return np.concatenate([changed.generate(batch).images for batch in batches])

    with pure():
        drawn = mitigated([requests])
    require(drawn.shape == before.shape, "a mitigated image is as large as the baseline's")
    close(drawn, mitigated([requests]), 0, "a mitigation built alike acts alike")
    singly = mitigated([[request] for request in requests])
    close(drawn, singly, tolerance, "a mitigated image does not depend on the batch")
    close(before, model.generate(requests).images, 0, "a mitigation leaves no trace")
    try:
        with mitigation.applied(model):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    close(before, model.generate(requests).images, 0, "an error leaves no trace")


def _drawing(drawing: Drawing, count: int) -> None:
    images = drawing.images
    require(images.dtype == np.uint8 and images.ndim == 4, "images are uint8 [N, H, W, 3]")
    require(images.shape[0] == count and images.shape[3] == 3, "one RGB image a request")
    require(len(drawing.states) == count, "one state a request")


def _hookpoint(
    model: Model, hookpoint: str, channels: int, requests: Sequence[Request], baseline: Images
) -> None:
    calls: list[tuple[tuple[int, ...], int, int]] = []

    def record(x: Any, moment: Any) -> Any:
        calls.append((tuple(x.shape), len(moment.requests), moment.step))
        return x

    with model.hooked(hookpoint, record):
        drawn = model.generate(requests).images
    close(baseline, drawn, 0, f"{hookpoint}: an edit that changes nothing changes no pixel")
    require([step for _, _, step in calls] == sorted({s for _, _, s in calls}), "one call a step")
    for shape, rows, _ in calls:
        require(shape[0] == rows, f"{hookpoint}: one row a request, conditional rows alone")
        require(channels in (shape[1], shape[-1]), f"{hookpoint}: {channels} channels")
    with model.hooked(hookpoint, lambda x, moment: x * 0):
        zeroed = model.generate(requests).images
    require(not np.array_equal(baseline, zeroed), f"{hookpoint}: an edit reaches the pixels")
    seen = len(calls)
    close(baseline, model.generate(requests).images, 0, f"{hookpoint}: hooks are removed")
    require(len(calls) == seen, f"{hookpoint}: no call after the block")
