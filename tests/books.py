"""XLSX files made by hand, byte for byte known: what a spreadsheet program writes, and what not."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

_TYPES = (
    '<?xml version="1.0"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml"'
    ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    "</Types>"
)
_RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
_STYLES = (
    '<?xml version="1.0"?>'
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs>'
    "</styleSheet>"
)
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


class Day(float):
    """A cell with Excel's count of days, formatted as a date."""


class Formula(str):
    """A cell with a formula, and the value its program stored."""

    __slots__ = ()


def xlsx(
    *sheets: Sequence[Sequence[object]],
    raw: str | None = None,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """A workbook of these sheets; `raw` is the first sheet's XML instead."""
    made = io.BytesIO()
    names = "".join(
        f'<sheet name="表{n}" sheetId="{n}" r:id="rId{n}"/>' for n in range(1, len(sheets) + 1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_REL}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    styles = f'<Relationship Id="rIdS" Type="{_REL}/styles" Target="styles.xml"/>'
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", _TYPES)
        book.writestr("_rels/.rels", _RELS)
        book.writestr(
            "xl/workbook.xml",
            f'<?xml version="1.0"?><workbook xmlns="{_MAIN}" xmlns:r="{_REL}">'
            f"<sheets>{names}</sheets></workbook>",
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/'
            f'2006/relationships">{links}{styles}</Relationships>',
        )
        book.writestr("xl/styles.xml", _STYLES)
        for number, rows in enumerate(sheets, 1):
            xml = raw if raw is not None and number == 1 else _sheet(rows)
            book.writestr(f"xl/worksheets/sheet{number}.xml", xml)
        for name, content in (more or {}).items():
            book.writestr(name, content)
    return made.getvalue()


def sheet_xml(cells: str) -> str:
    """A worksheet around rows written out."""
    head = f'<?xml version="1.0"?><worksheet xmlns="{_MAIN}">'
    return f"{head}<sheetData>{cells}</sheetData></worksheet>"


def _sheet(rows: Sequence[Sequence[object]]) -> str:
    written = []
    for number, cells in enumerate(rows, 1):
        made = "".join(_cell(f"{_letters(place)}{number}", one) for place, one in enumerate(cells))
        written.append(f'<row r="{number}">{made}</row>')
    return sheet_xml("".join(written))


def _cell(place: str, value: object) -> str:
    if value is None:
        return f'<c r="{place}" s="1"/>'
    if isinstance(value, Formula):
        return f'<c r="{place}" t="str"><f>{escape(value)}</f><v>stored</v></c>'
    if isinstance(value, Day):
        return f'<c r="{place}" s="1"><v>{float(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    words = f'<is><t xml:space="preserve">{escape(str(value))}</t></is>'
    return f'<c r="{place}" t="inlineStr">{words}</c>'


def _letters(place: int) -> str:
    return (chr(64 + place // 26) if place >= 26 else "") + chr(65 + place % 26)
