"""Train the classifier of the embedded world: gender, age class, age, race and occupation.

python -m models.portraits.train.classifier RENDERS WORK
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from models.portraits.train.arguments import recipe
from models.portraits.train.augmentation import Views
from models.portraits.train.loop import take_over, train
from models.portraits.truth import COLUMNS, occupations, read
from probes.network import PortraitNet, save

AGE_SPREAD = (50.0, 20.0)
"""Mean and deviation in years that the age head is standardised by."""


def targets(labels: pd.DataFrame) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]], Tensor]:
    """Return class indices by attribute, class names by attribute, and ages in years."""
    classes = {name: tuple(members) for name, members in read()["classes"].items()}
    present = set(labels["occupation"])
    classes["occupation"] = tuple(dress for dress in occupations() if dress in present)
    columns = {**COLUMNS, "occupation": "occupation"}
    indices = {
        name: torch.tensor([members.index(value) for value in labels[columns[name]]])
        for name, members in classes.items()
    }
    return indices, classes, torch.tensor(labels["age"].to_numpy(np.float32))


def main() -> None:
    """Run the recipe."""
    parser = recipe(__doc__, steps=3000, batch=64, learning_rate=2e-3)
    parser.add_argument(
        "--held-out", type=int, default=800, help="last rows, to watch progress on"
    )
    options = parser.parse_args()

    views = Views(options.renders, options.work, options.held_out, options.device)
    indices, classes, ages = targets(views.renders.labels)
    torch.manual_seed(0)
    network = PortraitNet(classes, {"age": AGE_SPREAD})
    if options.start:
        take_over(network, options.start)
    network.to(options.device)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rows, batch = views.draw(options.batch, generator)
        logits, values = network(batch)
        total = sum(
            nn.functional.cross_entropy(logits[name], indices[name][rows].to(options.device))
            for name in classes
        )
        error = (values["age"] - ages[rows].to(options.device)) / AGE_SPREAD[1]
        return total + nn.functional.smooth_l1_loss(error, torch.zeros_like(error))

    def snapshot(average: PortraitNet, step: int) -> None:
        average.eval()
        with torch.inference_mode():
            logits, values = average(views.held())
        right = {}
        for name, logit in logits.items():
            agreed = logit.argmax(1).cpu() == indices[name][views.count :]
            right[name] = f"{agreed.float().mean():.3f}"
        years = (values["age"].cpu() - ages[views.count :]).abs().mean()
        print(f"  {right} age within {years:.1f} years", flush=True)
        average.train()

    average = train(
        network,
        loss,
        options.work / "classifier.pt",
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=0.05,
        average=0.998,
        snapshot=snapshot,
    )
    save(average.eval().half(), options.work / "classifier")


if __name__ == "__main__":
    main()
