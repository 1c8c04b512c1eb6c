"""Name the attribute in the prompt, each class as often as the target asks for.

For text-to-image models the strongest simple method, and the bar for those that edit the model.
"""

from collections.abc import Mapping, Sequence

from audit.images.assignment import Assignment
from audit.images.rewriting import PromptMitigation, described
from audit.images.wording import worded
from audit.storage.weights import fingerprint
from audit.types import Request


def prompt_quota(
    *,
    target: Mapping[str, Mapping[str, float]],
    attributes: Sequence[str] | None = None,
    words: Mapping[str, Mapping[str, str]] | None = None,
    seed: int = 0,
) -> PromptMitigation:
    """Draw each class for its share of a prompt's images, and say it: "a male nurse".

    Args:
        target: By attribute: the share wanted of each class.
        attributes: The ones that are named; all of the target if not given.
        words: By attribute and class: the word for it, where there is no built-in one.
        seed: Of the draw.

    Raises:
        SpecError: an attribute is not in the target, or a class has no word.
    """
    drawn = {}
    for stream, (name, said) in enumerate(
        worded("prompt-quota", target, attributes, words).items()
    ):
        assignment = Assignment(tuple(said), target[name], seed=seed, stream=stream)
        drawn[name] = (assignment, list(said.values()))

    def rewrite(request: Request) -> str:
        left = (
            said[assignment(request)]
            for name, (assignment, said) in drawn.items()
            if not set(request.asks) & target[name].keys()
        )
        return described(request.prompt, list(left))

    parts = [(name, a.fingerprint, tuple(said)) for name, (a, said) in drawn.items()]
    return PromptMitigation("prompt-quota", rewrite, fingerprint("prompt-quota", 2, *parts))
