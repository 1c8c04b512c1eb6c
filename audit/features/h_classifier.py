"""The h-classifier: for each sampling step a linear head that reads a class from an activation.

It reads h at a hookpoint while an image is being drawn, and says what the finished image will be
read as. Folded with an SAE's decoder it says what each latent does to each class.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from audit.errors import InputError
from audit.features.sae import SAE
from audit.storage.weights import fingerprint

WEIGHTS = "h_classifier.safetensors"
CONFIG = "h_classifier.json"
TENSORS = ("weights", "biases", "directions")
_ITERATIONS = 60


@dataclass(frozen=True)
class HClassifier:
    """T linear heads over activations of P tokens of width D, for K classes."""

    classes: tuple[str, ...]
    weights: Tensor
    """[T, K, P D]."""
    biases: Tensor
    """[T, K]."""
    accuracy: tuple[float, ...]
    """By step, on held-out images: mean over classes of the share recognised."""
    directions: Tensor
    """[T, K, P D]: mean activation of each class less the mean of all classes."""

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the heads and directions."""
        parts = (self.weights, self.biases, self.directions)
        return fingerprint(self.classes, *(part.cpu().numpy().tobytes() for part in parts))

    def logits(self, step: int, tokens: Tensor) -> Tensor:
        """Return [N, K] logits of activations at a step, given as tokens [N, P, D]."""
        weight, bias = (part[step].to(tokens.device) for part in (self.weights, self.biases))
        return tokens.flatten(1).to(weight.dtype) @ weight.T + bias

    def fold(self, step: int, sae: SAE) -> tuple[Tensor, Tensor]:
        """Return what latents do to logits at a step, so that logits = offset + sum z · direction.

        Returns:
            directions [K, P, L] and offsets [K], the logits of the code of zeros; where the SAE
            is.
        """
        weight, bias = (part[step].to(sae.bias.device) for part in (self.weights, self.biases))
        heads = weight.view(len(self.classes), -1, sae.decoder.shape[1])
        return heads @ sae.decoder.T, heads.sum(1) @ sae.bias + bias

    def save(self, folder: Path) -> None:
        """Write `h_classifier.safetensors` and `h_classifier.json`."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name).contiguous() for name in TENSORS}
        save_file(tensors, folder / WEIGHTS)
        config = {"classes": self.classes, "accuracy": self.accuracy}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def load(folder: Path) -> HClassifier:
    """Read what `HClassifier.save` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        tensors = load_file(folder / WEIGHTS)
        return HClassifier(
            classes=tuple(config["classes"]),
            accuracy=tuple(config["accuracy"]),
            **{name: tensors[name] for name in TENSORS},
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"{folder}: not an h-classifier of this suite: {error}") from error


def fit(
    columns: Callable[[int], Iterable[Tensor]],
    steps: int,
    labels: Tensor,
    classes: Sequence[str],
    *,
    held_out: Tensor,
    weights: Tensor | None = None,
    penalty: float = 0.03,
    arranged: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> HClassifier:
    """Fit a head for each step: logistic regression with an L2 penalty and balanced classes.

    There are more dimensions than images, so each head lies in the span of the training images;
    it is found exactly there, which costs N² numbers and not D. The activations are looked at
    twice, a part of their numbers at a time. The heads are on the CPU, wherever the parts are.

    Args:
        columns: For a step, the activations in parts [N, any] float32, row i of image i.
        steps: T.
        labels: [N] class of each image.
        classes: Names of the K classes.
        held_out: [N] True where an image is for measuring only.
        weights: [N] what an image counts within its class; all alike if not given.
        penalty: In units of the mean square length of a centred activation.
        arranged: Puts the numbers of activations [any, D] into the order of tokens.

    Raises:
        InputError: a class has fewer than two images on either side.
    """
    if weights is None:
        weights = torch.ones(len(labels))
    counts = torch.stack([labels[used].bincount(minlength=len(classes))
                          for used in (held_out, ~held_out & (weights > 0))])  # fmt: skip
    if counts.amin() < 2:
        scarce = classes[int(counts.amin(0).argmin())]
        raise InputError(f"too few images read as {scarce!r} to learn from: draw more to discover")
    learnt = labels[~held_out]
    members = one_hot(learnt, len(classes)) * weights[~held_out, None].float()
    shares = members / members.sum(0)
    fitted = (_step(partial(columns, s), labels, shares, held_out, penalty) for s in range(steps))
    sums, biases, accuracy = zip(*fitted, strict=True)
    heads, directions = torch.stack([arranged(of) for of in sums]).chunk(2, dim=1)
    return HClassifier(tuple(classes), heads, torch.stack(biases), accuracy, directions)


def _step(
    parts: Callable[[], Iterable[Tensor]],
    labels: Tensor,
    shares: Tensor,
    held_out: Tensor,
    penalty: float,
) -> tuple[Tensor, Tensor, float]:
    """Fit the head of one step, and measure it on the images that are held out.

    Args:
        parts: Gives the activations in parts [N, any], every time it is asked.
        labels: [N].
        shares: [N, K] of each class, which images that are learnt from make up how much of it.
        held_out: [N].
        penalty: As in `fit`.

    Returns:
        Weights, and below them directions, [2 K, D]; biases [K]; and the accuracy.
    """
    learnt, tested = labels[~held_out], labels[held_out]
    count = shares.shape[1]
    gram = torch.zeros(len(learnt), len(learnt), dtype=torch.float64)
    for part in parts():
        gram += _products(part[~held_out])
    mix, bias = _head(gram, learnt, shares, penalty)
    of_images = torch.cat([mix, shares.T - shares.T.mean(0)])
    found, logits = [], bias
    for part in parts():
        centre = part[~held_out].mean(0)
        sums = of_images.to(part.device) @ (part[~held_out] - centre)
        weight = sums[:count]
        logits = logits + ((part[held_out] - centre) @ weight.T).cpu()
        bias = bias - (weight @ centre).cpu()
        found.append(sums.cpu())
    guess = logits.argmax(1)
    recalls = [(guess == k)[tested == k].float().mean() for k in range(count)]
    return torch.cat(found, dim=1), bias, float(torch.stack(recalls).mean())


def _products(part: Tensor) -> Tensor:
    """Return what a part adds to the products [N, N] of the centred activations."""
    centred = part - part.mean(0)
    # Products with D are of the device. What is left is small, and in double precision, which not
    # every device has: on the CPU.
    return (centred @ centred.T).cpu().double()


def _head(gram: Tensor, labels: Tensor, shares: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Fit one head, given the products [N, N] of the centred activations and shares as `_step`.

    Returns:
        [K, N] that make its weight of the centred images, and [K] its logits at their mean.
    """
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values[-1] * 1e-10
    spread = values[kept].sqrt()
    scale = values.mean().sqrt()
    # The images in the orthonormal basis of their span; the mean square length of a row is 1.
    rows = vectors[:, kept] * spread / scale
    count = shares.shape[1]
    weight = rows.new_zeros(count, rows.shape[1], requires_grad=True)
    bias = rows.new_zeros(count, requires_grad=True)
    counted = shares.sum(1).double() / count
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimizer.zero_grad()
        logits = rows @ weight.T + bias
        losses = cross_entropy(logits, labels, reduction="none")
        value = counted @ losses + penalty * weight.square().sum() / 2
        value.backward()
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    inverse = (vectors[:, kept] / spread / scale).float()
    return weight.detach().float() @ inverse.T, bias.detach().float()
