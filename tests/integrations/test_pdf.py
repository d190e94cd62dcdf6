"""Printed documents: what is said is there, in order, in any language, and the bytes stay."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader

from integrations.pdf import Column, Document, Facts, Figures, Paragraph, Table, render

MADE = datetime(2026, 11, 1, tzinfo=UTC)
HASH = "52bf7579a8598c832bebaf15583fe69900fa41428a84a0d08da44d598efabb75"
HEADS = (
    Column("日付"), Column("区分"), Column("理由", share=1), Column("増減", "end"),
)  # fmt: skip
STATEMENT = Document(
    title="無償紹介枠 月次計算書",
    lang="ja",
    made_at=MADE,
    lead="2026年10月",
    issuer="キャリアリレー",
    foot="円表示はすべて参考値です。",
    blocks=(
        Facts((("元企業", "株式会社髙﨑𠮷田商店"), ("先頭ハッシュ", HASH))),
        Figures((("保留", "2"), ("使用可能", "3")), title="月末の残高"),
        Table(
            HEADS,
            (("2026-10-01", "付与", "入社", "+1"), ("2026-10-15", "充当", "採用", "−1")),
            title="取引",
            total=("合計", "", "", "0"),
            note="日付は日本時間です。",
        ),
        Paragraph("異議がある場合は、10営業日以内にお知らせください。", title="確認のお願い"),
    ),
)


def one(text: str, **facts: object) -> Document:
    return replace(STATEMENT, blocks=(Paragraph(text),), **facts)


def pages(document: Document) -> list[PageObject]:
    return list(PdfReader(BytesIO(render(document))).pages)


def words(document: Document) -> str:
    return "\n".join(page.extract_text() for page in pages(document))


def places(page: PageObject, text: str) -> list[float]:
    """How far from the left, in points, the pieces of text begin that are exactly this."""
    found: list[float] = []

    def note(said: str, matrix: list[float], *_: object) -> None:
        if said.strip() == text:
            found.append(round(matrix[4], 1))

    page.extract_text(visitor_text=note)
    return found


def test_what_is_said_is_there_in_its_order():
    assert words(STATEMENT).split("\n") == [
        "無償紹介枠 月次計算書",
        "2026年10月",
        "元企業 株式会社髙﨑𠮷田商店",
        f"先頭ハッシュ {HASH}",
        "月末の残高",
        "保留",
        "2",
        "使用可能",
        "3",
        "取引",
        "日付 区分 理由 増減",
        "2026-10-01 付与 入社 +1",
        "2026-10-15 充当 採用 −1",
        "合計 0",
        "日付は日本時間です。",
        "確認のお願い",
        "異議がある場合は、10営業日以内にお知らせください。",
        "円表示はすべて参考値です。 1 / 1",
    ]


def test_a_long_table_repeats_its_heads_on_every_page():
    rows = tuple((f"2026-10-{1 + n % 28:02}", "付与", f"理由{n:03}", f"+{n}") for n in range(60))
    table = Table(HEADS, rows, title="取引", total=("合計", "", "", "1,770"))
    found = [page.extract_text() for page in pages(replace(STATEMENT, blocks=(table,)))]

    assert len(found) == 2
    assert [text.count("日付 区分 理由 増減") for text in found] == [1, 1]
    lines = [line for text in found for line in text.split("\n") if "理由" in line]
    assert [line for line in lines if "付与" in line] == [" ".join(row) for row in rows]
    assert [text.split("\n")[-1] for text in found] == [
        "円表示はすべて参考値です。 1 / 2",
        "円表示はすべて参考値です。 2 / 2",
    ]
    assert found[1].startswith("無償紹介枠 月次計算書 キャリアリレー\n日付 区分 理由 増減\n")
    assert "合計 1,770" in found[1]


def test_numbers_end_at_one_line_and_words_begin_at_one():
    rows = (("a", "付与", "x", "1"), ("b", "付与", "y", "1,234,567"))
    page = pages(replace(STATEMENT, blocks=(Table(HEADS, rows),)))[0]

    assert places(page, "x") == places(page, "y") == places(page, "理由")
    assert (places(page, "1"), places(page, "1,234,567")) == ([536.7], [503.7])


def test_words_without_blanks_break_instead_of_leaving_their_column():
    columns = (Column("id", share=1), *(Column(str(n), share=1) for n in range(5)))
    table = Table(columns, ((HASH, *"bcdef"),))
    lines = words(replace(STATEMENT, blocks=(table,))).split("\n")
    start = lines.index("id 0 1 2 3 4") + 1

    assert lines[start : start + 4] == [HASH[at : at + 16] for at in range(0, 64, 16)]


def test_an_empty_table_says_so():
    table = Table(HEADS, (), empty="ありません。")
    text = words(replace(STATEMENT, blocks=(table,)))

    assert "日付 区分 理由 増減\nありません。\n" in text


def test_english_reads_as_well():
    document = Document(
        title="Monthly statement", lang="en", made_at=MADE, foot="Reference values only.",
        blocks=(Facts((("Company", "Example & Co., Ltd."),)), Paragraph("Silence is “silence”.")),
    )  # fmt: skip

    assert words(document).split("\n") == [
        "Monthly statement",
        "Company Example & Co., Ltd.",
        "Silence is “silence”.",
        "Reference values only. 1 / 1",
    ]


@pytest.mark.parametrize(
    "name",
    ["髙﨑𠮷商店", "㈱①℡", "𡈽方", "神\ufa19社", "华为技术", "삼성전자", "Łódź Škoda", "Nguyễn Văn",
     "Жуков", "Ωμέγα", "naïve café", "ÅÄÖ", "ｶﾀｶﾅ", "〒100-0001", "¥1,000", "１２３"],
)  # fmt: skip
def test_a_name_comes_back_as_it_was_given(name):
    assert f"2026年10月\n{name}\n" in words(one(name))


@pytest.mark.parametrize(
    ("given_name", "printed"),
    [
        ("Cafe\u0301 カ\u3099ス", "Café ガス"),
        ("😀", "[U+1F600]"),
        ("ไทย", "[U+0E44][U+0E17][U+0E22]"),
        ("a\u202eb", "a[U+202E]b"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\x00b\x07c", "a[U+0000]b[U+0007]c"),
        ("a\ud800b", "a[U+D800]b"),
        ("\ue000", "[U+E000]"),
        ("z\u0303", "z[U+0303]"),
        ("☎\ufe0f", "☎"),
        ("a\tb\u2009c", "a b c"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
    ],
    ids=ascii,
)
def test_a_letter_nobody_can_draw_is_told_by_its_code(given_name, printed):
    assert f"2026年10月\n{printed}\n" in words(one(given_name))


def test_a_chosen_shape_of_a_character_is_kept():
    assert words(one("葛\U000e0100城")).split("\n")[2].replace("\U000e0100", "") == "葛城"
    assert render(one("葛\U000e0100城")) != render(one("葛城"))


@pytest.mark.parametrize(
    "text",
    ["#panic()", "*not bold*", "$x^2$", "\\u{41}", "= heading", "@reference", "<label>",
     '"quoted" // comment', '#import "@preview/x:0.1.0"', "https://example.com/a_b"],
)  # fmt: skip
def test_what_is_said_is_never_read_as_markup(text):
    assert f"2026年10月\n{text}\n" in words(one(text))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(("ja", "en")))
def test_any_words_can_be_printed(first, second, lang):
    document = Document(
        title=f"t{first}", lang=lang, made_at=MADE, lead=second, issuer=first, foot=second,
        blocks=(
            Facts(((first, second),), title=second),
            Figures(((second, first),)),
            Table((Column(first), Column(second, "end", 1)), ((second, first),), note=first),
            Paragraph(first, quiet=True),
        ),
    )  # fmt: skip

    assert render(document).startswith(b"%PDF-")


def test_the_same_document_gives_the_same_bytes():
    again = STATEMENT.made_at.astimezone(timezone(timedelta(hours=9)))

    assert render(STATEMENT) == render(STATEMENT) == render(replace(STATEMENT, made_at=again))
    assert render(STATEMENT) != render(replace(STATEMENT, foot="円表示は参考値です。"))


def test_another_process_without_home_or_settings_gives_the_same_bytes():
    script = (
        "import hashlib, runpy, sys\n"
        "from integrations.pdf import render\n"
        "document = runpy.run_path(sys.argv[1])['STATEMENT']\n"
        "print(hashlib.sha256(render(document)).hexdigest())\n"
    )
    root = Path(__file__).parents[2]
    bare = {"PYTHONPATH": str(root), "TZ": "America/New_York", "HOME": "/nonexistent"}
    ran = subprocess.run(
        [sys.executable, "-c", script, __file__], env=bare, cwd=root, capture_output=True,
        text=True, check=True,
    )  # fmt: skip

    assert ran.stdout.strip() == hashlib.sha256(render(STATEMENT)).hexdigest()
    assert os.environ.get("HOME") != bare["HOME"]


def test_the_file_can_be_kept_and_read_aloud():
    reader = PdfReader(BytesIO(render(STATEMENT)))
    root = reader.root_object
    about = root["/Metadata"].get_object().get_data().decode()

    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.author) == (
        "無償紹介枠 月次計算書", "キャリアリレー",
    )  # fmt: skip
    assert reader.metadata.creation_date == MADE
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("ja", True)
    assert "<pdfaid:part>2<" in about
    assert "<pdfaid:conformance>A<" in about
    assert "<pdfuaid:part>1<" in about
    kinds = kinds_of(root["/StructTreeRoot"])
    assert (kinds.count("/H1") + kinds.count("/H2"), kinds.count("/Table")) == (3, 1)
    assert (kinds.count("/TR"), kinds.count("/TH"), kinds.count("/TD")) == (4, 4, 12)


def kinds_of(node: object) -> list[str]:
    """The kinds of all parts of a tagged document."""
    found = node.get_object()
    if isinstance(found, list):
        return [kind for child in found for kind in kinds_of(child)]
    if not hasattr(found, "get"):
        return []
    own = [str(found["/S"])] if "/S" in found else []
    return own + (kinds_of(found["/K"]) if "/K" in found else [])


def test_every_font_travels_with_the_file():
    for page in pages(replace(STATEMENT, lead="Łódź")):
        for font in page["/Resources"]["/Font"].values():
            descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
            assert "/FontFile3" in descriptor or "/FontFile2" in descriptor


def test_a_row_of_another_length_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="a row of 2 cells in 4 columns"):
        Table(HEADS, (("a", "b"),))
    with pytest.raises(ValueError, match="a row of 1 cells in 4 columns"):
        Table(HEADS, (), total=("a",))
