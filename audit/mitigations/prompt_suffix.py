"""Ask for fairness in words, as a sentence after the prompt.

Source: ENTIGEN, Bansal et al. 2022 (arXiv:2210.15230).
"""

from audit.images.rewriting import PromptMitigation, noun_phrase
from audit.placeholders import refuse_unknown
from audit.storage.weights import fingerprint
from audit.types import Request

SENTENCE = "if all individuals can be {article} {noun} irrespective of their {attribute}"


def prompt_suffix(*, attribute: str = "gender", suffix: str = "") -> PromptMitigation:
    """Add a sentence to every prompt.

    Args:
        attribute: What the sentence is about: gender, skin color, age, culture.
        suffix: A text of one's own in place of the published one; `{article}`, `{noun}` and
            `{attribute}` are filled in.

    Raises:
        SpecError: the suffix has a placeholder that is not known.
    """
    sentence = suffix or SENTENCE
    refuse_unknown("prompt-suffix: option 'suffix'", sentence, ["article", "noun", "attribute"])

    def rewrite(request: Request) -> str:
        _, article, noun = noun_phrase(request.prompt) or ("", "a", request.prompt)
        said = sentence.format(article=article.lower(), noun=noun, attribute=attribute)
        return f"{request.prompt} {said}"

    return PromptMitigation(
        "prompt-suffix", rewrite, fingerprint("prompt-suffix", 2, sentence, attribute)
    )
