"""Numbers, addresses and readings as people write them (domain rules 18)."""

import pytest

from domain import data_items
from domain.contact import dialled, katakana, mail_address, phone_number, yen
from domain.special_care import words_in
from integrations.ats import canonical


@pytest.mark.parametrize(("typed", "kept"), [
    ("０９０−１２３４−５６７８", "+819012345678"),
    ("03-1234-5678", "+81312345678"),
    ("+81(0)90-1234-5678", "+819012345678"),
    ("+81 90 1234 5678", "+819012345678"),
    ("(03) 1234 5678", "+81312345678"),
    ("+44 20 7946 0018", "+442079460018"),
    ("12345", None),
    ("0012345678", None),
    ("090-1234-567", "+81901234567"),
    ("090-1234-56789", None),
    ("090 1234 567x", None),
    ("", None),
])  # fmt: skip
def test_a_number_is_kept_in_one_form(typed, kept):
    assert phone_number(typed) == kept


@pytest.mark.parametrize(("kept", "shown"), [
    ("+819012345678", "090-1234-5678"), ("+815012345678", "050-1234-5678"),
    ("+81312345678", "0312345678"), ("+442079460018", "+442079460018"), ("内線12", "内線12"),
    ("", ""),
])  # fmt: skip
def test_a_number_is_shown_as_one_dials_it(kept, shown):
    assert dialled(kept) == shown
    assert not kept.startswith("+") or phone_number(shown) == kept


@pytest.mark.parametrize(("typed", "kept"), [
    (" Hanako.Shiken@Mail.EXAMPLE ", "Hanako.Shiken@mail.example"),
    ("a..b@docomo.ne.jp", "a..b@docomo.ne.jp"),
    ("ab.@ezweb.ne.jp", "ab.@ezweb.ne.jp"),
    ("a..b@mail.example", None),
    ("ab.@mail.example", None),
    ("nobody", None),
    ("a@", None),
    ("@b.example", None),
    ("a@localhost", None),
    ("a b@mail.example", None),
    ("a@mail.example\nBcc: b@mail.example", None),
    ("a\u202eb@mail.example", None),
    ("\u212aenji@mail.example", None),  # becomes Kenji's in lower case, and is another mailbox
    ("か\u3099@mail.example", None),
    ("a" * 65 + "@mail.example", None),
    ("a" * 300 + "@b.example", None),
])  # fmt: skip
def test_an_address_is_taken_as_it_is_or_not_at_all(typed, kept):
    assert mail_address(typed) == kept


@pytest.mark.parametrize("address", [
    "a..b@docomo.ne.jp", "A.b@Mail.Example", "日本@例.example", "\u212aenji@mail.example",
])  # fmt: skip
def test_what_the_ats_may_tell_can_also_be_typed(address):
    assert mail_address(address) == canonical.address(address)


@pytest.mark.parametrize(
    "typed", ["ﾔﾏﾀﾞ ﾀﾛｳ", "やまだ　たろう", "ヤマダ タロウ", " ヤマダ  タロウ "]
)
def test_a_reading_is_kept_in_full_width_katakana(typed):
    assert katakana(typed) == "ヤマダ タロウ"


@pytest.mark.parametrize(("typed", "kept"), [
    ("450万円", 4_500_000), ("４５０万", 4_500_000), ("4,500,000", 4_500_000),
    ("¥4500000", 4_500_000), ("4500000円", 4_500_000), ("応相談", None), ("-1", None),
    ("99999999999", None), ("", None), ("2000000万", None),
])  # fmt: skip
def test_a_salary_is_kept_in_yen(typed, kept):
    assert yen(typed) == kept


@pytest.mark.parametrize("name", ["\ufa19山 花子", "神　花子", "髙﨑 𠮷子", "Ａｎｎ  Lee"])
def test_a_name_is_kept_letter_by_letter(name):
    kept = data_items.corrected({"display_name": "別 人"}, {"name": name})

    assert kept["display_name"] == name


def test_what_was_emptied_is_remembered_until_it_is_filled_again():
    before = {"phone": "+819012345678", "desired_job": "経理"}
    emptied = data_items.corrected(before, {"phone": "", "desired_job": "経理"})
    filled = data_items.corrected(emptied, {"phone": "090-9999-8888"})

    assert emptied == {"phone": None, "desired_job": "経理", "cleared": ["phone"]}
    assert filled == {"phone": "+819099998888", "desired_job": "経理"}
    assert data_items.changed(before, emptied) == ["phone"]
    assert data_items.changed(before, filled) == ["phone"]
    assert data_items.changed(before, before) == []


@pytest.mark.parametrize(("typed", "words"), [
    ("うつ病で通院しながら働きたい", ["うつ病", "通院"]),
    ("宗教法人の経理", ["宗教"]),
    ("I have a DISABILITY", ["disabilit"]),
    ("介護職、障害対応、うつくしい街の営業", []),
    ("", []),
])  # fmt: skip
def test_words_that_hint_at_special_care_are_found(typed, words):
    assert words_in(typed) == words
