"""Files of every encoding and kind: what is in them comes out, and nothing else ever happens."""

import io
import struct
import zipfile
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from integrations.tables import LARGEST, MOST_COLUMNS, MOST_ROWS, read_book
from tests.books import Day, Formula, sheet_xml, xlsx

WORDS = [["応募ID", "氏名"], ["A-1", "髙橋 ①"], ["A-2", "﨑山,\n花子"]]
TEXT = '応募ID,氏名\r\nA-1,髙橋 ①\r\nA-2,"﨑山,\r\n花子"\r\n'


def cells(book, sheet=0):
    return [list(one) for _, one in book.sheets[sheet].rows()]


def refused(content):
    code = rows_or_refusal(content)
    assert isinstance(code, str), "it was read"
    return code


@pytest.mark.parametrize(
    ("codec", "mark", "name"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8-bom"),
        ("cp932", b"", "cp932"),
        ("utf-16-le", b"\xff\xfe", "utf-16"),
        ("utf-16-be", b"\xfe\xff", "utf-16"),
        ("utf-16-le", b"", "utf-16"),
        ("utf-16-be", b"", "utf-16"),
    ],
)
def test_every_encoding_of_a_japanese_office_is_read(codec, mark, name):
    book = read_book(mark + TEXT.encode(codec))

    assert (book.format, book.encoding, book.delimiter) == ("csv", name, ",")
    assert cells(book) == WORDS


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_delimiter_is_the_one_that_makes_a_table(delimiter):
    lines = [["a", "b", "c"], ["1", "x,y;z" if delimiter == "\t" else "x", "3"]]
    text = "\r\n".join(delimiter.join(one) for one in lines)

    book = read_book(text.encode())

    assert (book.delimiter, cells(book)) == (delimiter, lines)


def test_rows_are_numbered_as_a_spreadsheet_shows_them():
    book = read_book(b"a,b\r\n\r\n1,2\r\n,\r\n3,4")

    assert [number for number, _ in book.sheets[0].rows()] == [1, 3, 5]
    assert list(book.sheets[0].rows()) == list(book.sheets[0].rows())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b" \r\n\r\n", "file_empty"),
        (b"\xef\xbb\xbf", "file_empty"),
        (b"a,b\n" + b"\x81\x00\xff", "encoding_unknown"),
        (b"\xff\xfea", "encoding_unknown"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "encoding_unknown"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "file_protected"),
        (b"PK\x03\x04 broken", "file_unreadable"),
        (b"x" * (LARGEST + 1), "file_too_large"),
        (b",".join([b"x"] * (MOST_COLUMNS + 1)), "too_many_columns"),
        (b"a\n" * (MOST_ROWS + 2), "too_many_rows"),
        (b'a,"' + b"x" * 200_000 + b'"', "file_unreadable"),
        (b'a,b\n1,"2\n3,4\n', "file_unreadable"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(content, code):
    assert refused(content) == code


def test_the_largest_table_is_read():
    book = read_book(b"a,b\n" + b"1,2\n" * MOST_ROWS)

    assert sum(1 for _ in book.sheets[0].rows()) == MOST_ROWS + 1


def test_a_workbook_gives_numbers_dates_and_words():
    book = read_book(
        xlsx(
            [
                ["応募ID", "電話", "結果日", "式"],
                ["00123", 9012345678, Day(46347.5), Formula('HYPERLINK("http://x.example")')],
            ]
        )
    )

    assert (book.format, book.encoding) == ("xlsx", None)
    assert cells(book)[1] == ["00123", 9012345678.0, datetime(2026, 11, 21, 12), "stored"]  # noqa: DTZ001


def test_every_sheet_with_rows_is_there_and_empty_rows_count():
    book = read_book(xlsx([], [["a", "b"], [None, None], ["1", "2"]]))

    assert [sheet.name for sheet in book.sheets] == ["表2"]
    assert [number for number, _ in book.sheets[0].rows()] == [1, 3]


def archive(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (archive(readme=b"x"), "file_type_unknown"),
        (xlsx([["a"]], more={"xl/vbaProject.bin": b"x"}), "file_macros"),
        (xlsx([["a"]], more={"xl/media/big.bin": bytes(300 * 1024 * 1024)}), "file_too_large"),
        (xlsx([["a"]], more={f"xl/media/{n}": b"" for n in range(2001)}), "file_unreadable"),
        (xlsx([]), "file_empty"),
    ],
)
def test_other_archives_and_bombs_are_refused(content, code):
    assert refused(content) == code


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ('<row><c r="XFD1048576"><v>1</v></c></row>', "too_many_columns"),
        ("<row><c s='1' r='XFD1'><v>1</v></c></row>", "too_many_columns"),
        ('<row><c r="GR1048576"><v>1</v></c></row>', "too_many_rows"),
        ('<row><c r="A9999999"><v>1</v></c></row>', "file_unreadable"),
        ('<row><c r="A1" t="a/>b"><v>1</v></c r="XFD9" ></row>', "file_unreadable"),
        ('<row><c r="A1"x><v>1</v></c></row>', "file_unreadable"),
    ],
)
def test_a_sheet_that_spans_more_than_fits_is_refused_before_it_is_laid_out(cell, code):
    content = xlsx([["a"]], raw=sheet_xml('<row><c r="A1"><v>1</v></c></row>' + cell))

    assert refused(content) == code


def test_cells_with_a_format_and_no_value_take_no_room():
    raw = sheet_xml('<row r="1"><c r="A1"><v>1</v></c></row><row><c r="XFD1048576" s="1"/></row>')

    assert cells(read_book(xlsx([["a"]], raw=raw))) == [[1.0]]


def test_an_archive_that_lies_about_its_sizes_is_counted():
    content = bytearray(xlsx([["a"]], more={"xl/media/big.bin": bytes(300 * 1024 * 1024)}))
    true = struct.pack("<I", 300 * 1024 * 1024)
    assert content.count(true) == 2
    lying = bytes(content).replace(true, struct.pack("<I", 10))

    assert refused(lying) == "file_too_large"


def rows_or_refusal(content):
    try:
        book = read_book(content)
        return [list(sheet.rows()) for sheet in book.sheets]
    except Invalid as refusal:
        return refusal.code


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_a_refusal(content):
    assert isinstance(rows_or_refusal(content), list | str)


@given(st.text(max_size=200), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp932"]))
def test_any_text_gives_rows_or_a_refusal(text, codec):
    assert isinstance(rows_or_refusal(text.encode(codec, "ignore")), list | str)


_WHOLE = xlsx([["応募ID", "氏名"], ["A-1", 5]])


@given(st.integers(0, len(_WHOLE) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_workbook_gives_rows_or_a_refusal(place, noise):
    damaged = _WHOLE[:place] + noise + _WHOLE[place + len(noise) :]

    assert isinstance(rows_or_refusal(damaged), list | str)


@given(st.text(alphabet="<>/c r=\"'A1v0XFD&;#x\n", max_size=120))
def test_any_sheet_gives_rows_or_a_refusal(inside):
    assert isinstance(rows_or_refusal(xlsx([["a"]], raw=sheet_xml(inside))), list | str)
