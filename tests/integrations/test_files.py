"""Documents are told by what is in them, and what does more than show text is not taken."""

import asyncio
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Dictionary, Name, String

from domain.errors import Invalid, TryLater
from integrations.files import DocumentReader
from tests.books import xlsx
from tests.documents import ACTIVE_PDFS, docx, locked_pdf, pdf

pytestmark = pytest.mark.anyio
CHECK = Path(__file__).parents[2] / "integrations" / "pdf_check.py"


async def refused(content):
    with pytest.raises(Invalid) as caught:
        await DocumentReader().check(content)
    return caught.value.code


async def test_a_document_is_what_it_holds():
    assert await DocumentReader().check(pdf()) == "pdf"
    assert await DocumentReader().check(pdf(pages=60)) == "pdf"
    assert await DocumentReader().check(docx()) == "docx"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b" \n\t ", "file_empty"),
        (b"MZ\x90\x00 a program", "file_type_unknown"),
        (b"<html><script>alert(1)</script>", "file_type_unknown"),
        (b"\x89PNG\r\n\x1a\n", "file_type_unknown"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old .doc", "file_type_unknown"),
        (b"GIF89a%PDF-1.7", "file_type_unknown"),
        (b"%PDF-1.7", "file_unreadable"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 40, "file_unreadable"),
        (b"PK\x03\x04 no archive", "file_unreadable"),
        (xlsx([["a"]]), "file_type_unknown"),
    ],
)
async def test_what_lies_about_its_kind_is_not_taken(content, code):
    assert await refused(content) == code


async def test_an_archive_without_a_list_of_its_parts_is_no_document():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("readme.txt", "hello")

    assert await refused(made.getvalue()) == "file_type_unknown"


@pytest.mark.parametrize("name", ACTIVE_PDFS)
async def test_a_pdf_that_does_something_is_not_taken(name):
    more, code = ACTIVE_PDFS[name]

    assert await refused(pdf(more=more)) == code


def streamed(**facts):
    """A PDF that holds a stream with these facts."""
    document, made = pikepdf.new(), io.BytesIO()
    document.add_blank_page()
    document.Root["/Own"] = document.make_stream(b"", **facts)
    document.save(made)
    return made.getvalue()


def written(catalogue, *, in_trailer=False):
    """A PDF by hand: libraries do not write what is in here."""
    root, more = ("3 0 R", f"3 0 obj {catalogue} endobj") if not in_trailer else (catalogue, "")
    return (
        f"%PDF-1.7\n{more}\n1 0 obj <</Type/Pages/Count 1/Kids[2 0 R]>> endobj\n"
        "2 0 obj <</Type/Page/Parent 1 0 R/MediaBox[0 0 595 842]>> endobj\n"
        f"trailer <</Size 4/Root {root}>>\n%%EOF\n"
    ).encode()


SCRIPT = "/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (streamed(F=String("https://a.example/x")), "file_linked"),
        (streamed(Ref=Dictionary(F=String("//a.example/x.pdf"), Page=0)), "file_linked"),
        (written(f"<</Type/Catalog/Pages 1 0 R{SCRIPT}>>", in_trailer=True), "file_active"),
        # Which of the two counts is every reader's own opinion.
        (written(f"<</Type/Catalog/Pages 1 0 R{SCRIPT}/OpenAction[2 0 R/Fit]>>"),
         "file_unreadable"),
    ],
    ids=["stream elsewhere", "page elsewhere", "catalogue in the trailer", "said twice"],
)  # fmt: skip
async def test_a_pdf_that_hides_what_it_does_is_not_taken(content, code):
    assert await refused(content) == code


async def test_a_pdf_by_hand_that_does_nothing_is_taken():
    link = Dictionary(S=Name.URI, URI=String("https://portfolio.example"))

    assert await DocumentReader().check(written("<</Type/Catalog/Pages 1 0 R>>")) == "pdf"
    assert await DocumentReader().check(pdf(more={"/Link": Dictionary(A=link)})) == "pdf"


async def test_a_pdf_with_a_password_or_without_end_is_not_taken():
    assert await refused(locked_pdf(user="secret")) == "file_protected"
    assert await refused(locked_pdf()) == "file_protected"
    assert await refused(pdf(pages=61)) == "file_too_long"
    assert await refused(pdf(pages=0)) == "file_unreadable"


async def test_a_truncated_pdf_never_breaks_the_reader():
    whole = pdf(pages=3, text="BT (hello) Tj ET")
    seen = set()
    for cut in range(0, len(whole), max(1, len(whole) // 12)):
        try:
            seen.add(await DocumentReader().check(whole[:cut]))
        except Invalid as refusal:
            seen.add(refusal.code)

    assert seen <= {"pdf", "file_empty", "file_type_unknown", "file_unreadable"}


def test_the_process_that_looks_into_a_pdf_may_take_and_write_little():
    """The limits are those of the process itself, so a document cannot lift them."""
    probe = (
        "import runpy, resource, tempfile\n"
        f"found = runpy.run_path({str(CHECK)!r})\n"
        "found['_bounded']()\n"
        "try:\n    bytearray(600 * 1024 * 1024); print('memory')\n"
        "except MemoryError:\n    pass\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n    f = tempfile.TemporaryFile(); f.write(b'x' * 9000); f.flush(); print('disk')\n"
        "except OSError:\n    pass\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, check=True, text=True, env=os.environ
    )

    assert done.stdout == "(5, 5)\n"


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
BY_ENDING = (
    '<Default Extension="foo" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.header+xml"/>'
)


def in_word(paragraph):
    return f"<w:document {W}><w:body><w:p>{paragraph}</w:p></w:body></w:document>"


def field(*parts):
    """A field of Word; what it does may be broken up, and hold other fields."""
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    said = (
        part if part.startswith("<") else f"<w:r><w:instrText>{part}</w:instrText></w:r>"
        for part in parts
    )  # fmt: skip
    return f"{mark.format('begin')}{''.join(said)}{mark.format('end')}"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (docx(kind="application/vnd.ms-word.document.macroEnabled.main+xml"), "file_active"),
        (docx(more={"word/vbaProject.bin": b"x"}), "file_active"),
        (docx(more={"word/activeX/activeX1.xml": b"<a/>"}), "file_active"),
        (docx(more={"word/embeddings/oleObject1.bin": b"x"}), "file_attached"),
        (docx(more={"word/embeddings/book.xlsx": b"x"}), "file_attached"),
        (docx(links=(("attachedTemplate", "https://a.example/t.dotm", True),)), "file_linked"),
        (docx(links=(("image", "https://a.example/pixel.png", True),)), "file_linked"),
        (docx(links=(("oleObject", "file:///c:/x", True),)), "file_linked"),
        (
            docx(links=(("aFChunk", "chunk.rtf", False),), more={"word/chunk.rtf": b"{}"}),
            "file_attached",
        ),
        (docx(links=(("oleObject", "media/a.dat", False),)), "file_attached"),
        (docx(links=(("package", "media/a.dat", False),)), "file_attached"),
        (docx(links=(("vbaProject", "media/a.dat", False),)), "file_active"),
        (docx(links=(("control", "media/a.dat", False),)), "file_active"),
        (docx(links=(("image", "https://a.example/pixel.png", False),)), "file_linked"),
        (docx(links=(("image", "\\\\a.example\\pixel.png", False),)), "file_linked"),
        (docx(part="word/other.bin", more={"word/other.bin": b"<!DOCTYPE a>"}), "file_unreadable"),
        (docx(declared=BY_ENDING, more={"word/header.foo": b"<!DOCTYPE a>"}), "file_unreadable"),
        (docx(body=in_word(field(' ddeauto c:\\x.exe "/k calc"'))), "file_active"),
        (docx(body=in_word(field("DD", "EAUTO x y"))), "file_active"),
        (docx(body=in_word(field("QUOTE ", field("DDE x y"), " a"))), "file_active"),
        (docx(body=in_word('<w:fldSimple w:instr=" DDE x y"/>')), "file_active"),
        (docx(body=in_word(field('INCLUDEPICTURE "https://a.example/p.png"'))), "file_linked"),
        (docx(body=in_word('<w:fldSimple w:instr="INCLUDETEXT x"/>')), "file_linked"),
        (docx(part="word/other.xml"), "file_type_unknown"),
        (docx(kind="application/xml"), "file_type_unknown"),
        (docx(body="<w:document>"), "file_unreadable"),
        (docx(body='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "file_unreadable"),
        (
            docx(body='<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'),
            "file_unreadable",
        ),
        (docx(more={"word/../../evil.txt": b"x"}), "file_unreadable"),
        (docx(more={"/etc/evil": b"x"}), "file_unreadable"),
        (docx(more={"C:evil": b"x"}), "file_unreadable"),
        (docx(more={"WORD/document.xml": b"<a/>"}), "file_unreadable"),
        (docx(more={f"word/{n}.bin": b"" for n in range(2000)}), "file_unreadable"),
        (docx(more={"word/zeros.bin": bytes(40 * 1024 * 1024)}), "file_too_large"),
        (docx(more={"word/zeros.xml": bytes(40 * 1024 * 1024)}), "file_too_large"),
    ],
    ids=range(35),
)
async def test_a_word_document_that_is_more_than_one_is_not_taken(content, code):
    assert await refused(content) == code


async def test_who_finds_a_queue_comes_again():
    """Each that waits holds a transaction open: a crowd of documents must not hold them all."""
    asked = (DocumentReader().check(one) for one in [pdf(), docx()] * 10)
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in answers].count(TryLater) == 20 - 2 - 4
    assert await DocumentReader().check(docx()) == "docx"


async def test_links_for_the_reader_to_click_on_are_no_harm():
    links = (("hyperlink", "https://portfolio.example", True), ("styles", "styles.xml", False))

    assert await DocumentReader().check(docx(links=links)) == "docx"


async def test_fields_that_only_number_date_and_decorate_are_no_harm():
    fields = (field("PAGE"), field("DATE \\@ yyyy"), field(""),
              field('HYPERLINK "https://a.example"'),
              field("EQ \\* jc2 \\o(\\s\\up 9(さとう),佐藤)"),
              field("REF ", field("SEQ a")),
              '<w:fldSimple w:instr=""/>', "<w:r><w:t>DDE と LINK を習得</w:t></w:r>")  # fmt: skip

    assert await DocumentReader().check(docx(body=in_word("".join(fields)))) == "docx"


async def test_an_archive_that_lies_about_its_sizes_is_counted():
    """The directory says ten bytes; the stream says forty megabytes."""
    whole = bytearray(docx(more={"word/zeros.bin": bytes(40 * 1024 * 1024)}))
    place = whole.rindex(b"word/zeros.bin") - 46
    whole[place + 24 : place + 28] = (10).to_bytes(4, "little")

    assert await refused(bytes(whole)) == "file_too_large"


async def test_an_encrypted_archive_is_not_taken():
    whole = bytearray(docx())
    place = whole.rindex(b"word/document.xml") - 46
    whole[place + 8] |= 1

    assert await refused(bytes(whole)) == "file_protected"
