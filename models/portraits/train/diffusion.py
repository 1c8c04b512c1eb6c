"""Train a diffusion model of portraits: unconditional, its fair control, or text-to-image.

    python -m models.portraits.train.diffusion unconditional RENDERS WORK

The autoencoder in WORK must be trained. `--start` takes over what fits from another run's
checkpoint or from a pipeline. With a classifier in WORK, what an unconditional model is trained on
is corrected by what it draws.
"""

import json

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from models.diffusion import TRUTH
from models.portraits import captions
from models.portraits.dataset import load
from models.portraits.train import architectures
from models.portraits.train.arguments import recipe
from models.portraits.train.correction import Correction
from models.portraits.train.loop import take_over, train
from models.portraits.train.objective import Velocity
from models.portraits.train.packaging import pipeline, save, sheet
from models.portraits.train.perception import perceive
from models.portraits.train.planting import Batches, encode, planted
from models.portraits.train.reading import read
from models.portraits.truth import occupations
from probes.network import load as load_classifier

NAMES = ("unconditional", "unconditional-fair", "text-to-image")
LOOK = "a portrait of a {}"


def main() -> None:
    """Run the recipe."""
    parser = recipe(__doc__, steps=6000, batch=32, learning_rate=1e-3, names=NAMES)
    parser.add_argument("--into", help="folder within WORK, if it is not to be the name's")
    options = parser.parse_args()

    work = options.work / (options.into or options.name)
    work.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderTiny.from_pretrained(options.work / "autoencoder")
    renders = load(options.renders)
    latents = encode(renders, vae, options.work)
    batches = Batches(options.name, renders, latents, options.batch)
    torch.manual_seed(0)
    perception = perceive(renders, latents, options.work / "perception.pt", device=options.device)
    tokens = None
    if options.name == "text-to-image":
        folder = options.start / "tokenizer" if options.start else None
        tokens = architectures.tokenizer_of(folder, captions.vocabulary())
        encoder = read(batches, tokens, work / "text-encoder.pt")
        model = Velocity(architectures.conditional_unet(), encoder, perception)
    else:
        model = Velocity(architectures.unconditional_unet(), perception=perception)
    if options.start and options.start.is_dir():
        for part in ("unet", "text_encoder"):
            for file in (options.start / part).glob("*.safetensors"):
                take_over(model, file, f"{part}.")
    elif options.start:
        take_over(model, options.start)
    model.to(options.device)
    vae.to(options.device)  # with the U-Net that it draws samples with

    def loss(step: int, generator: torch.Generator) -> Tensor:
        ids = None
        if tokens is None:
            drawn = batches.draw(generator)
        else:
            drawn, texts = batches.draw_captioned(generator)
            padded = tokens(texts, padding="max_length", truncation=True, return_tensors="pt")
            ids = padded.input_ids.to(options.device)
        value: Tensor = model(drawn.to(options.device), ids, generator)
        return value

    correction = None
    if tokens is None and (options.work / "classifier").exists():
        classifier = load_classifier(options.work / "classifier")
        correction = Correction(batches.wanted(), classifier, work / "correction.json")
        batches.correct(correction.factors)

    def snapshot(average: Velocity, step: int) -> None:
        prompts = None
        if tokens is not None:
            prompts = [LOOK.format(occupations()[d].noun) for d in batches.rows for _ in range(6)]
        average.eval()
        pipe = pipeline(average, vae, tokens)
        sheet(pipe, prompts, 6).save(work / f"{step:06d}.png")
        if correction is not None:
            correction.update(pipe, step)
            batches.correct(correction.factors)
        average.train()

    average = train(
        model,
        loss,
        work / "checkpoint.pt",
        steps=options.steps,
        learning_rate=options.learning_rate,
        average=0.999,
        snapshot=snapshot,
    )
    pipe = pipeline(average.eval(), vae, tokens).to(torch.float16)
    save(pipe, work / "pipeline")
    truth = json.dumps(planted(options.name), indent=1) + "\n"
    (work / "pipeline" / TRUTH).write_text(truth, "utf-8")


if __name__ == "__main__":
    main()
