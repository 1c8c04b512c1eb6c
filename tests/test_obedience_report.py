"""A run about prompts that ask for someone: every rendering speaks of what they ask for."""

import pytest

from audit.storage.results import Entry, ProbeRecord, Results
from reports.checklist import items
from reports.markdown import markdown
from reports.model_card import index_results, section
from reports.obedience import by_prompt
from reports.render import page
from reports.source import Source

PROMPTS = {"old-man": "an old man", "young-man": "a young man"}


def obeyed(arm, value, n, prompt=None):
    return Entry(
        metric="obeyed", arm=arm, attribute="age", probe="portraits", prompt=prompt, value=value,
        n=n, method="wilson", direction="higher",
    )  # fmt: skip


@pytest.fixture
def source():
    probe = ProbeRecord(
        name="portraits", attribute="age", classes=("young", "old"), correction="applied"
    )
    return Source(
        Results(
            benchmark="explicit", arms=("none", "steer"), prompts=PROMPTS, probes=(probe,),
            measurements=(
                obeyed("none", 0.75, 16),
                obeyed("steer", 0.5, 16),
                obeyed("none", 1.0, 8, "old-man"),
                obeyed("none", 0.5, 8, "young-man"),
                obeyed("steer", 0.625, 8, "old-man"),
                obeyed("steer", 0.375, 8, "young-man"),
            ),
        )
    )  # fmt: skip


def test_the_page_says_what_prompts_ask_for_and_who_shows_it(source):
    text = page(source)
    assert "whether images show the age that their prompts ask for" in text
    assert "2 of 2 prompts ask for someone of a class (young and old)" in text
    assert "Images read as their prompt asks, prompt by prompt" in text
    found = by_prompt(source)
    assert found.head == ("Prompt", "age, none", "age, steer", "Images, at most")
    assert [cell.value for row in found.rows for cell in row[1:]] == [1.0, 0.625, 8, 0.5, 0.375, 8]


def test_so_do_the_checklist_the_pull_request_and_the_card(source):
    answers = {item.question: item.answer for item in items(source)}
    asked = answers["Are these the attributes that matter for the release?"]
    assert asked.endswith("As prompts ask for it: age.")
    effects = answers["Do the mitigations leave quality and the other attributes alone?"]
    assert "Age as the prompt asks: 75.0\xa0% under none and 50.0\xa0% under steer." in effects
    for text in (markdown(source), section(source)):
        assert "| age | steer | 50.0 % " in text
    (held,) = index_results(source, "steer")
    assert held["metrics"][0]["value"] == 0.5
