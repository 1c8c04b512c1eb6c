"""Name the attribute in the prompt, each class as often as the target asks for.

For text-to-image models the strongest simple method, and the bar for those that edit the model.
"""

from collections.abc import Mapping, Sequence

from audit.errors import SpecError, unknown
from audit.images.assignment import Assignment
from audit.images.rewriting import PromptMitigation, described
from audit.storage.weights import fingerprint
from audit.types import Request

WORDS: Mapping[str, Mapping[str, str]] = {
    "age": {"young": "young", "adult": "middle-aged", "old": "old"},
    "race": {"Black": "Black", "Asian": "Asian", "White": "White", "Indian": "Indian"},
    "gender": {"woman": "female", "man": "male"},
}
"""What a class is called before a noun; attributes in the order of English adjectives."""


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
    known = {**WORDS, **(words or {})}
    chosen = [name for name in (*known, *target) if name in (attributes or target)]
    for name in attributes or ():
        if name not in target:
            raise SpecError(f"prompt-quota: {unknown('attribute', name, target)}")
    drawn = {}
    for stream, name in enumerate(dict.fromkeys(chosen)):
        if name not in target:
            continue
        classes = tuple(target[name])
        if lacking := [c for c in classes if c not in known.get(name, {})]:
            raise SpecError(f"prompt-quota: no word for {name} {lacking[0]!r}; give it by `words`")
        assignment = Assignment(classes, target[name], seed=seed, stream=stream % 4)
        drawn[name] = (assignment, [known[name][c] for c in classes])

    def rewrite(request: Request) -> str:
        return described(request.prompt, [said[a(request)] for a, said in drawn.values()])

    parts = [(name, a.fingerprint, tuple(said)) for name, (a, said) in drawn.items()]
    return PromptMitigation("prompt-quota", rewrite, fingerprint("prompt-quota", *parts))
