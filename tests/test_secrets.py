"""No secret gets out: planted ones are looked for in all that a run writes and says."""

import logging

import pytest
import yaml

from audit.cli import main
from audit.console import LogFormatter
from audit.redaction import redacted
from audit.storage.folder import Run

VALUE, TOKEN, USER = "canary-of-a-variable", "hf_canaryofatoken", "canary:password"
TITLE = f"Portraits {VALUE} by {TOKEN} of https://{USER}@hub.example/model"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ghp_abcdefghijklmnop, gho_abcdefghijklmnop", "***, ***"),
        ("github_pat_11ABCDEFG0abcdefgh", "***"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("git clone https://token@host/repo", "git clone https://***@host/repo"),
        ("see https://host/a@b, or mail a@b", "see https://host/a@b, or mail a@b"),
        ("sk-short and task-force", "sk-short and task-force"),
    ],
)
def test_tokens_are_known_by_their_form(text, said):
    assert redacted(text) == said


def test_values_of_secret_variables_are_known_but_not_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_API_KEY", VALUE)
    monkeypatch.setenv("MY_API_KEY_OLD", f"{VALUE}-old")
    monkeypatch.setenv("KEY_FOLDER", str(tmp_path))
    monkeypatch.setenv("KEY_TEXT", "x" * 5000)
    assert redacted(f"{VALUE}-old in {tmp_path}") == f"*** in {tmp_path}"


def test_a_log_record_has_neither_secrets_nor_escapes():
    record = logging.LogRecord("a", 30, "f", 1, "failed: %s", (f"{TOKEN}\x1b[31m",), None)
    assert LogFormatter().format(record) == "failed: ***\\x1b[31m"


def test_no_file_and_no_line_of_a_run_holds_a_secret(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_KEY", VALUE)
    monkeypatch.delenv("BIAS_AUDIT_STORE", raising=False)
    monkeypatch.setattr("fakes.POISON", f"poison {TITLE}")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as outside of pytest
    faults = {"fail_on": [1]}
    model = {"name": "fakes:glyph", "as": "glyph", "steps": 1, "faults": faults}
    benchmark = {
        "title": TITLE, "model": "fake", "images": 8, "mitigations": ["none"],
        "probes": ["constant"], "attributes": ["gender"], "statistics": {"max_failed": 0.5},
    }  # fmt: skip
    spec = {"version": 1, "models": {"fake": model}, "benchmarks": {"tiny": benchmark}}
    (tmp_path / "benchmarks.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(SystemExit) as done:
        main(["run", "--set", f"tiny.title={TITLE} again"])
    assert not done.value.code
    out, err = capfd.readouterr()
    assert "drawing failed: ValueError: poison Portraits ***" in err
    (folder,) = tmp_path.glob("runs/tiny-*")
    files = [f for top in (folder, tmp_path / ".bias-audit") for f in top.rglob("*")]
    texts = {str(f): f.read_bytes() for f in files if f.is_file()}
    texts |= {"stdout": out.encode(), "stderr": err.encode()}
    told = [name for name, text in texts.items() if b"canary" in text]
    assert told == []
    assert Run.open(folder).results.title == (
        "Portraits *** by *** of https://***@hub.example/model again"
    )
