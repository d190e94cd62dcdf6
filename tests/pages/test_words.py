"""The catalogues: the same keys and the same places for values in both languages."""

import string
from typing import Any

import pytest

from api.catalogue import catalogue
from api.pages import percent, words


def places(said: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(said) if name is not None}


def test_both_languages_say_the_same_things() -> None:
    japanese, english = catalogue("ja"), catalogue("en")

    assert set(japanese) == set(english)
    different = [key for key in japanese if places(japanese[key]) != places(english[key])]
    assert different == []


def test_a_missing_word_or_value_is_an_error() -> None:
    t: Any = words("ja")

    with pytest.raises(KeyError):
        t("common.no_such_word")
    with pytest.raises(KeyError):
        t("common.left_hours")


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, 0.0), (1, 3, 33.3), (9999, 10000, 99.9), (1, 10000, 0.1), (5, 5, 100.0)],
)
def test_only_everything_is_a_hundred_percent(part: int, whole: int, shown: float) -> None:
    assert percent(part, whole) == shown
