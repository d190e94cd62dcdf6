"""Documents made by code: what a person's word processor writes, and what somebody else might."""

import io
import zipfile
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/{part}" ContentType="{kind}"/>{more}</Types>'
)
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_RELS = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    "{links}</Relationships>"
)
_LINK = (
    '<Relationship Id="rId{number}" Target="{target}" {mode}'
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"/>'
)
_BODY = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    "<w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
)


def pdf(*, pages: int = 1, more: dict[str, Any] | None = None, text: str = "") -> bytes:
    """A PDF of empty pages; `more` goes into its catalogue, `text` into its first page."""
    document = pikepdf.new()
    for _ in range(pages):
        document.add_blank_page(page_size=(595, 842))
    if text:
        document.pages[0].Contents = document.make_stream(text.encode())
    for name, value in (more or {}).items():
        document.Root[name] = value
    return _saved(document)


def locked_pdf(*, user: str = "") -> bytes:
    """A PDF with a password; an empty one opens for everybody, and is encrypted all the same."""
    document = pikepdf.new()
    document.add_blank_page()
    return _saved(document, encryption=pikepdf.Encryption(owner="owner", user=user))


def _saved(document: pikepdf.Pdf, **how: Any) -> bytes:
    made = io.BytesIO()
    document.save(made, **how)
    return made.getvalue()


ACTIVE_PDFS: dict[str, tuple[dict[str, Any], str]] = {
    "script when opened": (
        {"/OpenAction": Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))},
        "file_active",
    ),
    "script by name": (
        {"/Names": Dictionary(JavaScript=Dictionary(Names=Array([])))},
        "file_active",
    ),
    "starts a program": (
        {"/OpenAction": Dictionary(S=Name.Launch, F=String("calc.exe"))},
        "file_active",
    ),
    "deep inside": (
        {"/AA": Dictionary(WC=Dictionary(S=Name.GoTo, Next=Array([Dictionary(S=Name.Launch)])))},
        "file_active",
    ),
    "sends a form": (
        {"/OpenAction": Dictionary(S=Name.SubmitForm, F=String("https://a.example"))},
        "file_active",
    ),
    "opens another document": (
        {"/OpenAction": Dictionary(S=Name.GoToR, F=String("\\\\a.example\\x.pdf"))},
        "file_linked",
    ),
    "opens a page when opened": (
        {"/OpenAction": Dictionary(S=Name.URI, URI=String("https://a.example"))},
        "file_linked",
    ),
    "opens a page when closed": (
        {
            "/AA": Dictionary(
                WC=Dictionary(
                    S=Name.GoTo,
                    Next=Array([Dictionary(S=Name.URI, URI=String("https://a.example"))]),
                )
            )
        },
        "file_linked",
    ),
    "reads in another document": (
        {"/Threads": Array([Dictionary(F=Dictionary(FS=Name.URL, F=String("https://a.example")))])},
        "file_linked",
    ),
    "plays something": (
        {"/OpenAction": Dictionary(S=Name.Rendition, OP=0)},
        "file_active",
    ),
    "a scene with a script": (
        {"/Scene": Dictionary(Type=Name("/3D"), OnInstantiate=String("x"))},
        "file_active",
    ),
    "attached file": (
        {"/Names": Dictionary(EmbeddedFiles=Dictionary(Names=Array([])))},
        "file_attached",
    ),
}


def docx(
    text: str = "職務経歴書",
    *,
    part: str = "word/document.xml",
    kind: str = WORD,
    declared: str = "",
    body: str | None = None,
    links: tuple[tuple[str, str, bool], ...] = (),
    more: dict[str, bytes] | None = None,
) -> bytes:
    """A Word document; `links` are (kind, target, outside), `declared` more content types."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES.format(part=part, kind=kind, more=declared))
        file.writestr("_rels/.rels", _links((("officeDocument", part, False),)))
        file.writestr("word/document.xml", body or _BODY.format(text=text))
        file.writestr("word/_rels/document.xml.rels", _links(links))
        for name, content in (more or {}).items():
            file.writestr(name, content)
    return made.getvalue()


def _links(links: tuple[tuple[str, str, bool], ...]) -> str:
    made = (
        _LINK.format(
            number=number, kind=kind, target=target,
            mode='TargetMode="External" ' if outside else "",
        )
        for number, (kind, target, outside) in enumerate(links, 1)
    )  # fmt: skip
    return _RELS.format(links="".join(made))
