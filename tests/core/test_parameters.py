"""Types of parameters: what is taken as it is written, and what is refused."""

import datetime
from pathlib import Path

import pytest

from dcgan_utils.core.errors import WorkbookError, did_you_mean
from dcgan_utils.core.parameters import (
    Integer,
    Named,
    NameOrNumber,
    Number,
    Parameters,
)


class Sample(Parameters):
    """One field of each type."""

    name: Named = "a"
    other: Named | None = None
    image: NameOrNumber = "0"
    count: Integer = 1
    rate: Number = 0.5
    counts: tuple[Integer, ...] | None = None


class Required(Parameters):
    """A field without a default."""

    collections: Named


@pytest.mark.parametrize(
    ("field", "given", "value"),
    [
        ("name", "007", "007"),
        ("name", "None", "None"),
        ("name", 2024, "2024"),
        ("name", Path("a/b"), "a/b"),
        ("other", None, None),
        ("other", "1e3", "1e3"),
        ("image", "25", "25"),
        ("image", 25, 25),
        ("count", "60", 60),
        ("count", " 60 ", 60),
        ("count", "60.0", 60),
        ("count", 60.0, 60),
        ("count", "1_000", 1000),
        ("count", "-4", -4),
        ("count", "+4", 4),
        ("count", "007", 7),
        ("rate", "1e-3", 1e-3),
        ("rate", 2, 2.0),
    ],
)
def test_values_are_taken_as_they_are_meant(field, given, value):
    got = getattr(Sample.resolve(**{field: given}), field)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "given", "sentence"),
    [
        ("name", 1e3, "name must be a text, not 1000.0: put it in quotes."),
        ("name", True, "name must be a text, not True"),
        ("name", None, "name must be a text, not None"),
        ("name", datetime.date(2024, 1, 1), "name must be a text, not 2024-01-01"),
        ("name", ["a"], "name must be a text, not ['a']"),
        ("name", {"a": 1}, "name must be a text"),
        ("name", b"a", "name must be a text"),
        ("name", " ", "name must not be empty."),
        ("other", False, "other must be a text, not False"),
        ("image", 2.5, "image must be a text, not 2.5"),
        ("image", True, "image must be a text, not True"),
        ("image", None, "image must be a text, not None"),
        ("count", "0-4", "count should be a valid integer, not '0-4'."),
        ("count", "00-4", "count should be a valid integer, not '00-4'."),
        ("count", "0_-4", "count should be a valid integer"),
        ("count", "1, 2", "count should be a valid integer"),
        ("count", "0x10", "count should be a valid integer"),
        ("count", "12:30", "count should be a valid integer"),
        ("count", "yes", "count should be a valid integer"),
        ("count", "", "count should be a valid integer"),
        ("count", "_", "count should be a valid integer"),
        ("count", True, "count must be an integer, not True."),
        ("rate", True, "rate must be a number, not True."),
        ("count", 1e30, "count should be smaller, not '1e+30'."),
        ("count", 2.5, "count should be a valid integer, not '2.5'."),
        ("rate", "0,5", "rate should be a valid number, not '0,5'."),
        ("rate", "0-4", "rate should be a valid number"),
        ("rate", "nan", "rate should be a finite number"),
        ("counts", (8, True), "counts.1 must be an integer, not True."),
    ],
)
def test_values_that_may_mean_something_else_are_refused(field, given, sentence):
    with pytest.raises(WorkbookError) as refusal:
        Sample.resolve(**{field: given})
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("word", "name"), [("DCGAN", "dcgan"), ("Resize", "resize"), ("ResNet", "ResNet"), ("x", None)]
)
def test_the_case_of_a_word_does_not_hide_what_is_meant(word, name):
    advice = f" Did you mean '{name}'?" if name else ""
    assert did_you_mean(word, ["dcgan", "resize", "ResNet"]) == advice


def test_what_is_missing_is_said_to_be_missing():
    with pytest.raises(WorkbookError) as refusal:
        Required.resolve(collection="plein_air")
    assert str(refusal.value).startswith(
        "collections is missing. 'collection' is not a parameter. Did you mean 'collections'?"
    )


def test_the_parameters_that_may_be_any_text_are_known():
    assert Sample.text_fields() == {"name", "other", "image"}
