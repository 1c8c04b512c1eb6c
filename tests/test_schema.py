"""What reading YAML guards against, and where it says a mistake is."""

import subprocess
import sys

import pytest

from audit.spec.document import Mark, read_file, read_text
from audit.spec.schema import dotted


def problems(text):
    return [
        f"{p.mark}: {dotted(p.where)}: {p.message}" for p in read_text(text, "s.yaml").problems
    ]


def test_values_and_their_marks():
    document = read_text("a:\n  - 1\n  - {b: 1.5, c: true, d: null, e: 'no', f: x}\n", "s.yaml")
    assert document.value == {"a": [1, {"b": 1.5, "c": True, "d": None, "e": "no", "f": "x"}]}
    assert document.problems == []
    assert document.mark(("a", 1, "b")) == Mark("s.yaml", 3, 9)
    assert document.key_mark(("a", 1, "b")) == Mark("s.yaml", 3, 6)
    assert document.mark(("a", 1, "nothing", "here")) == Mark("s.yaml", 3, 5)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("no", "no means true or false in YAML 1.1; write it plainly, or quote it: 'no'"),
        ("010", "010 is a number in another notation in YAML 1.1"),
        ("0x1F", "0x1F is a number in another notation in YAML 1.1"),
        ("12:30:45", "12:30:45 is a number in another notation in YAML 1.1"),
        ("2024-01-01", "2024-01-01 is a date in YAML 1.1"),
        ("1.0e3", "1.0e3 is text in YAML 1.1; write 1000, or quote it"),
        ("-.5", "-.5 is text in YAML 1.1; write -0.5, or quote it"),
        (".nan", ".nan is no finite number in plain notation in YAML 1.1"),
        ("-.inf", "-.inf is no finite number"),
        ("1_000", "1_000 is a number in another notation"),
        (
            "!!python/object/apply:os.system ['true']",
            "tag !!python/object/apply:os.system is",
        ),
        ("!!binary aGk=", "tag !!binary is not allowed in a spec"),
        ("!mine x", "tag !mine is not allowed in a spec"),
    ],
)
def test_surprises_of_yaml_are_errors_where_they_stand(written, says):
    [problem] = problems(f"key: 1\nother: {written}\n")
    assert problem.startswith(f"s.yaml:2:8: other: {says}")


@pytest.mark.parametrize("written", ["'no'", '"010"', "'12:30:45'", "'1.0e3'", "|\n  2024-01-01"])
def test_what_is_quoted_is_text(written):
    document = read_text(f"key: {written}\n", "s.yaml")
    assert document.problems == []
    assert isinstance(document.value["key"], str)


def test_a_duplicate_key_names_both_lines():
    assert problems("a: 1\nb: 2\na: 3\n") == ["s.yaml:3:1: : duplicate key 'a', first on line 1"]


def test_a_key_that_is_no_text():
    assert problems("1: a\n") == ["s.yaml:1:1: : a key must be text, got 1; quote it"]
    assert problems("on: a\n")[0].startswith("s.yaml:1:1: ?: on means true or false in YAML 1.1")


def test_a_syntax_error_has_a_caret_and_a_tab_a_hint():
    [problem] = problems("a:\n  - [1, 2\nb: 3\n")
    assert problem.startswith("s.yaml:3:2: : is not YAML: ")
    assert problem.endswith("\n  b: 3\n   ^")
    [problem] = problems("a:\n\t- 1\n")
    assert "s.yaml:2:1" in problem
    assert "; this is a tab, indent with spaces" in problem


def test_one_file_is_one_document():
    assert problems("a: 1\n---\nb: 2\n") == [
        "s.yaml:2:1: : holds several YAML documents; one file is one spec"
    ]


@pytest.mark.parametrize(
    ("hostile", "says"),
    [
        ("'[' * 5_000", "nested deeper than 50 levels"),
        ("'{a: ' * 5_000", "nested deeper than 50 levels"),
        ("'a: [' + '1, ' * 200_000 + '1]'", "more than 100000 values"),
        ("'a: &x 1\\nb: [' + '*x, ' * 2_000 + '1]'", "more than 1000 aliases"),
        (
            "'a0: &a0 [x, x]\\n' + "
            "''.join(f'a{i + 1}: &a{i + 1} [*a{i}, *a{i}, *a{i}, *a{i}]\\n' for i in range(30))",
            "aliases expand to too many values",
        ),
        ("'a: &a [*a]'", "too many"),
        ("'a: ' + 'x' * 50_000_000", "the file is larger than 5 MB"),
    ],
)
def test_a_hostile_file_is_refused_quickly_and_in_little_memory(tmp_path, hostile, says):
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from audit.spec.document import read_file\n"
        f"text = {hostile}\n"
        f"path = Path({str(tmp_path)!r}) / 's.yaml'\n"
        "path.write_text(text); del text\n"
        "start = time.process_time()\n"
        "document = read_file(path, 's.yaml')\n"
        "spent = time.process_time() - start\n"
        # Not ru_maxrss: that of a child starts at what its parent held.
        "status = Path('/proc/self/status').read_text().split()\n"
        "memory = int(status[status.index('VmHWM:') + 1]) / 1024\n"
        "print(spent < 1, memory < 200, document.problems[0].message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True True ")
    assert says in done.stdout


def test_files_that_are_none(tmp_path):
    assert "no such file" in read_file(tmp_path / "x.yaml", "x.yaml").problems[0].message
    assert "is a folder" in read_file(tmp_path, "x.yaml").problems[0].message
    (tmp_path / "b.yaml").write_bytes(b"a: \xff")
    assert "is not UTF-8 text" in read_file(tmp_path / "b.yaml", "b.yaml").problems[0].message
