"""results.json: the schema that is shipped, strict reading, the same bytes."""

import json
from pathlib import Path

import jsonschema
import pytest

from audit.errors import InputError
from audit.storage import results_file
from audit.storage.results import Entry, Results

EXAMPLE = Path(__file__).parent / "data" / "results-example.json"


def entry(**given):
    plain = {"metric": "fd", "arm": "none", "value": 0.1, "n": 10, "method": "m"}
    return Entry(**(plain | {"direction": "lower"} | given))


def test_the_schema_that_is_shipped_is_the_schema_of_the_models():
    assert json.loads(results_file.SCHEMA_FILE.read_text()) == json.loads(
        json.dumps(results_file.schema())
    )
    jsonschema.Draft202012Validator.check_schema(results_file.schema())


def test_the_example_fits_the_schema_and_is_written_back_byte_for_byte():
    text = EXAMPLE.read_text("utf-8")
    jsonschema.validate(json.loads(text), results_file.schema())
    assert results_file.dumps(results_file.read(EXAMPLE)) == text


def test_what_is_read_is_what_was_written(tmp_path):
    found = Results(benchmark="b", arms=("none",), measurements=(entry(class_="woman"),))
    results_file.write(tmp_path / "results.json", found)
    plain = json.loads((tmp_path / "results.json").read_text())
    assert plain["measurements"][0]["class"] == "woman"
    assert results_file.read(tmp_path / "results.json") == found
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_numbers_that_were_changed_afterwards_are_not_believed(tmp_path):
    path = tmp_path / "results.json"
    text = EXAMPLE.read_text("utf-8")
    first = json.loads(text)["measurements"][0]["value"]
    path.write_text(text.replace(f'"value": {first}', '"value": 0.123', 1))
    with pytest.raises(InputError, match="was changed after it was written"):
        results_file.read(path)
    plain = json.loads(text)
    del plain["sha256"]
    path.write_text(json.dumps(plain))
    assert results_file.read(path), "an older file has no digest"


def test_no_nan_gets_in():
    with pytest.raises(ValueError, match="finite"):
        entry(value=float("nan"))
    with pytest.raises(ValueError, match="exceeds"):
        entry(ci_low=0.3, ci_high=0.2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measurements": [{"metric": "fd"}]}, r"measurements\[0\].value: Field required"),
        ({"arm": 1}, r"arm: Extra inputs are not permitted"),
        ({"schema_version": "2.0.0"}, "schema_version 2.0.0; this suite reads 1.3.0"),
        ({"schema_version": None}, "schema_version is missing"),
    ],
)
def test_a_misfit_is_named_with_its_place(tmp_path, change, said):
    path = tmp_path / "results.json"
    plain = json.loads(EXAMPLE.read_text("utf-8")) | change
    del plain["sha256"]
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=said):
        results_file.read(path)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not a JSON document"), ('{"a": NaN}', "NaN is not a number")]
)
def test_what_is_no_json_is_refused(tmp_path, text, said):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        results_file.read(path)
    with pytest.raises(InputError, match="no such file"):
        results_file.read(tmp_path / "other.json")
