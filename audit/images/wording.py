"""How classes are said in a prompt, and prompts to say them in."""

from collections.abc import Mapping, Sequence

from audit.errors import SpecError, unknown
from audit.images.rewriting import described, with_article

WORDS: Mapping[str, Mapping[str, str]] = {
    "age": {"young": "young", "adult": "middle-aged", "old": "old"},
    "race": {"Black": "Black", "Asian": "Asian", "White": "White", "Indian": "Indian"},
    "gender": {"woman": "female", "man": "male"},
}
"""What a class is called before a noun; attributes in the order of English adjectives."""

JOBS = (
    "accountant", "artist", "baker", "carpenter", "chef", "cleaner", "clerk", "doctor",
    "engineer", "farmer", "firefighter", "judge", "lawyer", "librarian", "manager", "mechanic",
    "nurse", "office worker", "person", "pilot", "police officer", "scientist", "secretary",
    "teacher",
)  # fmt: skip
PROMPTS = tuple(f"a photo of {with_article(job)}" for job in JOBS)
"""Prompts that say no class; methods that learn from words say each class in each of them."""


def worded(
    method: str,
    target: Mapping[str, Mapping[str, float]],
    attributes: Sequence[str] | None = None,
    words: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, dict[str, str]]:
    """Return the word of every class, by attribute, in the order of English adjectives.

    Args:
        method: What asks, as the spec calls it.
        target: By attribute: the share wanted of each class; says which classes there are.
        attributes: Those wanted; all of the target if not given.
        words: By attribute and class: words in place of the built-in ones, or beside them.

    Raises:
        SpecError: an attribute is not in the target, or a class has no word.
    """
    for name in attributes or ():
        if name not in target:
            raise SpecError(f"{method}: {unknown('attribute', name, target)}")
    known = {**WORDS, **(words or {})}
    chosen = attributes or target
    found = {}
    for name in dict.fromkeys((*known, *target)):
        if name not in target or name not in chosen:
            continue
        if lacking := [c for c in target[name] if c not in known.get(name, {})]:
            raise SpecError(f"{method}: no word for {name} {lacking[0]!r}; give it by `words`")
        found[name] = {c: known[name][c] for c in target[name]}
    return found


def saying(prompts: Sequence[str], words: Mapping[str, str]) -> list[list[str]]:
    """Return by class the prompts with its word in them.

    >>> saying(["a photo of an artist"], {"woman": "female", "man": "male"})
    [['a photo of a female artist'], ['a photo of a male artist']]
    """
    return [[described(prompt, [word]) for prompt in prompts] for word in words.values()]
