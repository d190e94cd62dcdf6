import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.candidate_file import link_message, may_leave, plain_name


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("履歴書_試験花子.pdf", "履歴書_試験花子.pdf"),
        ("resume.PDF", "resume.pdf"),
        ("resume.docx", "resume.pdf"),
        ("resume", "resume.pdf"),
        ("2026.06.resume", "2026.06.resume.pdf"),
        (r"C:\Users\hanako\履歴書.pdf", "履歴書.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("cv\u202efdp.exe", "cvfdp.exe.pdf"),
        ("😀 𠮷野.pdf", "😀 𠮷野.pdf"),
        ("か\u3099.pdf", "が.pdf"),
        ('a"b<script>.pdf', "abscript.pdf"),
        ("line\r\nset-cookie: x.pdf", "lineset-cookie x.pdf"),
        ("", "rirekisho.pdf"),
        ("....", "rirekisho.pdf"),
        ("あ" * 300 + ".pdf", "あ" * 80 + ".pdf"),
    ],
)
def test_a_name_hides_nothing_and_ends_as_what_the_file_is(given_name, shown):
    assert plain_name(given_name, "resume_file", "pdf") == shown


@given(st.text())
def test_every_name_can_be_shown(given_name):
    shown = plain_name(given_name, "cv_file", "docx")

    assert shown.endswith(".docx")
    assert 6 <= len(shown) <= 85
    assert shown.isprintable()
    assert not set(shown) & set('/\\<>:"|?*')


@pytest.mark.parametrize(
    ("scan", "with_scanner", "without"),
    [
        ("clean", True, True),
        ("unscanned", False, True),
        ("failed", False, True),
        ("infected", False, False),
    ],
)
def test_with_a_scanner_only_what_is_clean_leaves(scan, with_scanner, without):
    assert may_leave(scan, has_scanner=True) is with_scanner
    assert may_leave(scan, has_scanner=False) is without


def test_a_link_is_for_one_agency_one_relay_one_file_and_one_time():
    one = ("agy_1", "rly_1", "fil_1", 60)
    others = (
        ("agy_2", "rly_1", "fil_1", 60),
        ("agy_1", "rly_2", "fil_1", 60),
        ("agy_1", "rly_1", "fil_2", 60),
        ("agy_1", "rly_1", "fil_1", 61),
    )

    assert len({link_message(*each) for each in (one, *others)}) == 5
