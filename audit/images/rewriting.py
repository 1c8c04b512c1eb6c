"""Mitigations that change the prompt: a model that rewrites what it is asked for."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from audit.errors import SpecError
from audit.types import Drawing, Edit, Model, Request

_MEDIA = (
    "close-?up|drawing|headshot|illustration|image|painting|photo|photograph|picture|portrait"
    "|render|rendering|selfie|shot|sketch"
)
_PERSON = [
    re.compile(rf"(.*?\b{before})(an?|the)\s+(.+)", re.IGNORECASE | re.DOTALL)
    for before in (rf"(?:{_MEDIA})\s+of\s+", "")
]
"""Where a prompt asks for someone: after the first "photo of", or else at the first article."""


class RewritingModel:
    """A text-to-image model that draws other prompts than those it is given."""

    def __init__(self, model: Model, rewrite: Callable[[Request], str]) -> None:
        self.model = model
        self.rewrite = rewrite
        self.fingerprint = model.fingerprint
        self.hookpoints = model.hookpoints
        self.text_to_image = model.text_to_image

    def generate(self, requests: Sequence[Request]) -> Drawing:
        """Draw the rewritten prompts; seeds, steps and guidance stay."""
        return self.model.generate([replace(r, prompt=self.rewrite(r)) for r in requests])

    def hooked(self, hookpoint: str, edit: Edit) -> AbstractContextManager[None]:
        """Hook the model below; the edit sees the rewritten requests."""
        return self.model.hooked(hookpoint, edit)


class PromptMitigation:
    """Rewrites prompts, and nothing else."""

    def __init__(self, name: str, rewrite: Callable[[Request], str], fingerprint: str) -> None:
        self.name = name
        self.rewrite = rewrite
        self.fingerprint = fingerprint

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Yield a model that rewrites its prompts.

        Raises:
            SpecError: the model takes no prompts.
        """
        if not model.text_to_image:
            raise SpecError(f"{self.name} rewrites prompts, and this model takes none")
        yield RewritingModel(model, self.rewrite)


def noun_phrase(prompt: str) -> tuple[str, str, str] | None:
    """Split a prompt at the person it asks for: what comes before, the article, the noun.

    The person is what follows the first "photo of a", of any medium, or else the first article.

    >>> noun_phrase("a portrait of an office worker")
    ('a portrait of ', 'an', 'office worker')
    >>> noun_phrase("a chief of the police, in the style of a painting")
    ('', 'a', 'chief of the police, in the style of a painting')
    >>> noun_phrase("nurse") is None
    True
    """
    for pattern in _PERSON:
        if found := pattern.match(prompt):
            return found[1], found[2], found[3]
    return None


def described(prompt: str, words: Sequence[str]) -> str:
    """Put words that describe the person into a prompt.

    >>> described("a portrait of an office worker", ["old", "female"])
    'a portrait of an old female office worker'
    >>> described("nurse", ["male"])
    'male nurse'
    """
    words = [word for word in words if word]
    if not words:
        return prompt
    phrase = noun_phrase(prompt)
    if phrase is None:
        return f"{' '.join(words)} {prompt}"
    before, article, noun = phrase
    said = f"{' '.join(words)} {noun}"
    if article.lower() not in {"a", "an"}:
        return f"{before}{article} {said}"
    said = with_article(said)
    return before + (said[0].upper() + said[1:] if article[0].isupper() else said)


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase.

    >>> with_article("old woman"), with_article("nurse")
    ('an old woman', 'a nurse')
    """
    return f"{'an' if phrase[0] in 'aeiouAEIOU' else 'a'} {phrase}"
