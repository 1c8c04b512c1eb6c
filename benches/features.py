"""Speed of feature discovery and steering, each against the plain way of doing it.

    python benches/features.py [--repeats 3] [--pipeline FOLDER] [--images 8] [--device cuda]

What is compared is timed in one process and in turn, so that a busy machine slows all alike.
"""

import argparse
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import one_hot

from audit.features.codes import SparseCodes, StepCodes
from audit.features.sae import SAE, fvu
from audit.rankings.integrated_gradients import attributions

WIDTH, LATENTS, K, TOKENS = 512, 4096, 32, 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--pipeline", default="portraits/unconditional", help="of diffusers, with a U-Net"
    )
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    name = (
        torch.cuda.get_device_name(options.device)
        if options.device != "cpu"
        else f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    )
    print(f"device: {name}; torch {torch.__version__}")
    training(options.repeats, options.device)
    attribution(options.repeats)
    drawing(options.pipeline, options.repeats, options.device, options.images, options.steps)


def training(repeats: int, device: str) -> None:
    x = torch.randn(TOKENS, WIDTH, device=device)
    sae = SAE(WIDTH, LATENTS, K).to(device)
    optimizer = torch.optim.Adam(sae.parameters(), 1e-4)

    def update(reconstruction: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            optimizer.zero_grad()
            fvu(x, reconstruction()).backward()
            optimizer.step()
            if device != "cpu":
                torch.cuda.synchronize()

        return run

    def dense() -> torch.Tensor:
        before = torch.nn.functional.linear(x - sae.bias, sae.encoder, sae.encoder_bias).relu()
        top = before.topk(K, dim=1)
        code = torch.zeros_like(before).scatter(1, top.indices, top.values)
        return code @ sae.decoder + sae.bias

    slow, fast = in_turn([update(dense), update(lambda: sae(x))], repeats)
    print(
        f"SAE training, {LATENTS} latents, k {K}, width {WIDTH}: {TOKENS / fast:,.0f} tokens/s,"
        f" dense decoding {TOKENS / slow:,.0f}: {slow / fast:.1f} times (at least 2)"
    )


def attribution(repeats: int, images: int = 4, positions: int = 64, classes: int = 3) -> None:
    """Ten points of the left rule for codes of k of 4,096 latents at 64 positions."""
    rng = np.random.default_rng(0)
    z = np.zeros((images, positions, LATENTS), np.float32)
    np.put_along_axis(z, rng.integers(0, LATENTS, (images, positions, K)), 1.0, axis=2)
    codes = StepCodes(
        step=0,
        latents=SparseCodes.of(z),
        baseline=SparseCodes.zeros(z.shape),
        labels=rng.integers(0, classes, images),
        directions=rng.standard_normal((classes, positions, LATENTS), np.float32) * 0.05,
        offsets=np.zeros(classes, np.float32),
    )
    # What the released code differentiates: the decoder, then the head of the step.
    decoder = torch.randn(LATENTS, WIDTH)
    head = torch.randn(classes, positions * WIDTH) * 0.01

    def autograd() -> None:
        for code, label in zip(torch.from_numpy(z), codes.labels.tolist(), strict=True):
            for j in range(10):
                at = (j / 10 * code).requires_grad_(True)
                logits = head @ (at @ decoder).flatten()
                torch.autograd.grad(logits.softmax(0)[label], at)

    flat = torch.from_numpy(z).flatten(1)
    heads = torch.from_numpy(codes.directions).flatten(1)
    own = one_hot(torch.from_numpy(codes.labels), classes).float()

    def written_out() -> torch.Tensor:
        """Return [K, L], of products with all latents at every position."""
        factors = torch.zeros(images, classes)
        for j in range(10):
            p = (j / 10 * (flat @ heads.T)).softmax(1)
            factors += (p * own).sum(1, keepdim=True) * (own - p) / 10
        moved = torch.stack([(own[:, c, None] * factors).T @ flat for c in range(classes)])
        return (moved * heads).view(classes, -1, LATENTS).sum(1)

    def sparse() -> torch.Tensor:
        return torch.from_numpy(attributions(codes, points=10)).float()

    torch.testing.assert_close(written_out(), sparse(), atol=1e-4, rtol=1e-4)
    slow, dense, fast = in_turn([autograd, written_out, sparse], repeats)
    print(
        f"attribution, {images} images: closed form {fast / images * 1e3:.2f} ms an image, over"
        f" zeros too {dense / images * 1e3:.2f} ms: {dense / fast:.1f} times (at least 2);"
        f" autograd {slow / images * 1e3:.1f} ms: {slow / fast:.0f} times (at least 20)"
    )


def drawing(pipeline: str, repeats: int, device: str, count: int, steps: int) -> None:
    """Plain, steered and steered in the manner of Asyrp, with the scheduler that Asyrp needs."""
    from audit.features.asyrp import HOOKPOINT, split
    from audit.features.latent_edit import LatentEdit
    from audit.types import Request
    from models.diffusion import diffusion

    model = diffusion(pipeline=pipeline, device=device, scheduler="DDIMScheduler")
    model.pipeline.pipe.scheduler.register_to_config(clip_sample=False)
    sae = SAE(model.hookpoints[HOOKPOINT], 8 * model.hookpoints[HOOKPOINT], K)
    factors = torch.full((1, 30), 1.5)
    edit = LatentEdit(
        sae.eval().requires_grad_(False), range(30), factors, torch.zeros_like(factors),
        class_of=lambda request: 0,
    )  # fmt: skip
    prompt = "a portrait of a person" if model.text_to_image else ""
    requests = [Request("-", prompt, i, i, steps, 4.0) for i in range(count)]

    def steered() -> None:
        with model.hooked(HOOKPOINT, edit):
            model.generate(requests)

    def asyrp() -> None:
        with split(model, edit):
            model.generate(requests)

    plain, direct, twice = in_turn([lambda: model.generate(requests), steered, asyrp], repeats)
    print(
        f"drawing {count} images in {steps} steps: {count / plain:.2f} images/s; steered"
        f" {direct / plain:.3f} times as long (limit 1.05), Asyrp {twice / plain:.3f} (limit 1.6)"
    )


def in_turn(functions: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the shortest time of each: seconds of CPU of this process; of the wall with a GPU."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, taken in zip(functions, times, strict=True):
            start = clock()
            function()
            taken.append(clock() - start)
    return [min(taken[1:]) for taken in times]


if __name__ == "__main__":
    main()
