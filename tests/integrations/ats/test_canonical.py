"""Names and addresses: what is kept as it is, what is mended, what is left out."""

import pytest

from integrations.ats import canonical as c


@pytest.mark.parametrize(("told", "kept"), [
    ("hanako@mail.example", "hanako@mail.example"),
    ("  Hanako.S@Mail.EXAMPLE\u3000", "Hanako.S@mail.example"),
    ("a+b_c'd@x.test", "a+b_c'd@x.test"),
    ("日本@例え.テスト", "日本@例え.テスト"),
    ("taro..tanaka@docomo.ne.jp", "taro..tanaka@docomo.ne.jp"),
    ("taro.@EZWEB.ne.jp", "taro.@ezweb.ne.jp"),
    ("taro..tanaka@mail.example", None),
    ("taro.@mail.example", None),
    (".taro@mail.example", None),
    ("no-at.example", None), ("a@b", None), ("a@b..example", None), ("a@-b.example", None),
    ("a@b-.example", None), ("a@1.2.3.4", None), ("a b@c.example", None), ("@c.example", None),
    ("a@b@", None), ("a@b@c.example", None), ("a\0b@c.example", None), ("a\nb@c.example", None),
    ("a@c.example\r\nBcc: x@y.example", None), ("x" * 65 + "@c.example", None),
    ("a@" + "b" * 64 + ".example", None), ("", None), (None, None), (7, None),
    ("\ud800@c.example", None),
    # Hostile input is refused as quickly as any other: a search that tries every way would not end.
    ("a" * 63 + "(@docomo.ne.jp", None), ("." * 64 + "@docomo.ne.jp", None),
])  # fmt: skip
def test_addresses(told, kept):
    assert c.address(told) == kept


def test_invalid_and_repeated_addresses_are_dropped_and_the_order_kept():
    told = [
        {"value": "B@x.example", "type": "work"},
        {"value": "nonsense"},
        {"value": "a@x.example", "type": "home"},
        {"value": "b@X.example", "type": "personal", "primary": True},
        {"value": None},
    ]

    assert c.emails(told) == [
        {"value": "B@x.example", "type": "work", "primary": False},
        {"value": "a@x.example", "type": "unknown", "primary": False},
    ]


def mail(value, kind="unknown", *, primary=False):
    return {"value": value, "type": kind, "primary": primary}


@pytest.mark.parametrize(("found", "expected"), [
    ([], None),
    ([mail("w", "work"), mail("p", "personal"), mail("f", "other", primary=True)], "f"),
    ([mail("w", "work"), mail("o", "other"), mail("p", "personal")], "p"),
    ([mail("w", "work"), mail("o", "other"), mail("u")], "o"),
    ([mail("w", "work"), mail("v", "work")], "w"),
])  # fmt: skip
def test_the_primary_address(found, expected):
    assert c.primary(found) == expected


@pytest.mark.parametrize(("names", "expected"), [
    ({"display_name": "試験 花子", "given_name": "x", "family_name": "y"}, "試験 花子"),
    ({"given_name": "花子", "family_name": "試験"}, "花子 試験"),
    ({"family_name": "試験"}, "試験"),
    ({}, None),
])  # fmt: skip
def test_the_name_is_never_reordered(names, expected):
    assert c.person("1", **names)["display_name"] == expected


def test_a_name_is_kept_as_it_was_entered():
    assert c.text("  \ufa19田\u3000", "name") == "\ufa19田"


@pytest.mark.parametrize(("told", "kept"), [
    ("2026-06-02T09:00:00Z", "2026-06-02T09:00:00Z"),
    ("2026-06-02t09:00:00z", "2026-06-02T09:00:00Z"),
    ("2026-06-02 09:00:00+0900", "2026-06-02T00:00:00Z"),
    ("2026-06-02T09:00:00.120+09:00", "2026-06-02T00:00:00.120000Z"),
    ("2026-06-02T09:00:00.123456789-05:00", "2026-06-02T14:00:00.123456Z"),
])  # fmt: skip
def test_times_leave_in_utc(told, kept):
    assert c.written(c.moment(told, "x")) == kept
