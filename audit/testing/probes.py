"""Contract tests of probes and encoders."""

from collections.abc import Callable, Sequence

import numpy as np

from audit.errors import SpecError
from audit.testing.promises import Other, close, identity, noise, pure, require
from audit.types import Encoder, Images, Probe, Readings, State

READ = (State.OK, State.NO_FACE, State.MULTI_FACE, State.ABSTAIN, State.FAILED)
"""States that a probe itself may give."""


def check_probe(
    build: Callable[[], Probe],
    *,
    images: Images | None = None,
    others: Sequence[Other] = (),
    tolerance: float = 0.0,
) -> None:
    """Check that a probe keeps what `audit.types.Probe` promises.

    Args:
        build: Builds the probe; called twice, and both must read alike.
        images: What to read, [N, H, W, 3] with N of at least 3; noise where none is given.
        others: Builders with other options: each must change the fingerprint.
        tolerance: Largest difference in probability when images are batched otherwise; 0 is
            what the byte-identity of results asks for.
    """
    images = noise() if images is None else images
    probe = build()
    require(isinstance(probe, Probe), "a probe has name, fingerprint, classes and read")
    identity(build, others)
    require(len(probe.classes) > 0, "a probe reads at least one attribute")
    for attribute, names in probe.classes.items():
        require(len(set(names)) == len(names) > 1, f"{attribute}: two or more distinct classes")
    with pure(images):
        readings = probe.read(images)
    _readings(probe, readings, len(images))
    _readings(probe, probe.read(images[:0]), 0)
    _same(readings, build().read(images), 0, "a probe built alike reads alike")
    singly = _joined([probe.read(image[None]) for image in images])
    _same(readings, singly, tolerance, "a reading does not depend on the batch")
    backwards = _joined([probe.read(images[::-1])])
    _same(readings, _reversed(backwards), tolerance, "a reading does not depend on the order")


def check_encoder(
    build: Callable[[], Encoder],
    *,
    images: Images | None = None,
    others: Sequence[Other] = (),
    tolerance: float = 0.0,
) -> None:
    """Check that an encoder keeps what `audit.types.Encoder` promises; arguments as above."""
    images = noise() if images is None else images
    encoder = build()
    require(isinstance(encoder, Encoder), "an encoder has all that audit.types.Encoder names")
    identity(build, others)
    require(bool(encoder.extractor), "an encoder says how it embeds")
    with pure(images):
        vectors = encoder.encode_images(images)
    shape = (len(images), encoder.dimensions)
    require(vectors.shape == shape, f"embeddings are {shape}, got {vectors.shape}")
    require(vectors.dtype == np.float32, f"embeddings are float32, got {vectors.dtype}")
    require(bool(np.isfinite(vectors).all()), "embeddings are finite")
    close(vectors, build().encode_images(images), 0, "an encoder built alike embeds alike")
    singly = np.concatenate([encoder.encode_images(image[None]) for image in images])
    close(vectors, singly, tolerance, "an embedding does not depend on the batch")
    try:
        texts = encoder.encode_texts(["a portrait of a nurse", "nobody"])
    except SpecError:
        return
    require(texts.shape == (2, encoder.dimensions), "texts are embedded in the same dimensions")


def _readings(probe: Probe, readings: Readings, count: int) -> None:
    require(set(readings.probabilities) == set(probe.classes), "every attribute is read")
    require(set(readings.states) == set(probe.classes), "every attribute has states")
    require(readings.faces.shape == (count,), "one number of faces an image")
    require(bool((readings.faces >= -1).all()), "faces are counted from 0; -1 is not looked for")
    for attribute, names in probe.classes.items():
        rows, states = readings.probabilities[attribute], readings.states[attribute]
        shape = (count, len(names))
        require(rows.shape == shape, f"{attribute}: {shape} expected, got {rows.shape}")
        require(rows.dtype == np.float32, f"{attribute}: probabilities are float32")
        require(len(states) == count, f"{attribute}: one state an image")
        require(all(state in READ for state in states), f"{attribute}: states are of {READ}")
        ok = np.array([state is State.OK for state in states], bool)
        require(bool(np.isnan(rows[~ok]).all()), f"{attribute}: NaN where it was not read")
        require(bool((rows[ok] >= 0).all()), f"{attribute}: probabilities are not negative")
        require(bool((abs(rows[ok].sum(axis=1) - 1) < 1e-4).all()), f"{attribute}: sums are 1")
    for attribute, values in readings.values.items():
        require(attribute in probe.classes, f"{attribute}: values of an attribute that is read")
        require(values.shape == (count,), f"{attribute}: one value an image")
        unread = [state is not State.OK for state in readings.states[attribute]]
        require(bool(np.isnan(values[unread]).all()), f"{attribute}: NaN where it was not read")


def _joined(parts: Sequence[Readings]) -> Readings:
    first = parts[0]
    return Readings(
        {a: np.concatenate([p.probabilities[a] for p in parts]) for a in first.probabilities},
        {a: tuple(s for p in parts for s in p.states[a]) for a in first.states},
        np.concatenate([p.faces for p in parts]),
        {a: np.concatenate([p.values[a] for p in parts]) for a in first.values},
    )


def _reversed(readings: Readings) -> Readings:
    return Readings(
        {attribute: rows[::-1] for attribute, rows in readings.probabilities.items()},
        {attribute: states[::-1] for attribute, states in readings.states.items()},
        readings.faces[::-1],
        {attribute: values[::-1] for attribute, values in readings.values.items()},
    )


def _same(one: Readings, two: Readings, tolerance: float, promise: str) -> None:
    require(one.states == two.states, promise)
    close(one.faces, two.faces, 0, promise)
    for attribute, rows in one.probabilities.items():
        close(rows, two.probabilities[attribute], tolerance, promise)
    for attribute, values in one.values.items():
        scale = np.nanmax(np.abs(values), initial=1.0)
        close(values, two.values[attribute], tolerance * scale, promise)
