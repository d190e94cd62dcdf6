"""The catalogues: the same keys and the same places for values in both languages."""

import string
from typing import Any

import pytest

from api.pages import catalogues, percent, words


def places(said: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(said) if name is not None}


def test_both_languages_say_the_same_things() -> None:
    japanese, english = catalogues()["ja"], catalogues()["en"]

    assert {area: set(said) for area, said in japanese.items()} == {
        area: set(said) for area, said in english.items()
    }
    different = [
        f"{area}.{key}"
        for area, said in japanese.items()
        for key in said
        if places(said[key]) != places(english[area][key])
    ]
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
