"""Mails as Jinja templates: a subject, a text that stands alone, the same as small HTML."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from domain.ports import Rendered

SUBJECT_LETTERS = 60
_LINK = re.compile(r"(https?://[^\s<>\"'()、。()「」]+)")


class MailTexts:
    """Renders `templates/{locale}/{name}.txt`; the first line is the subject."""

    def __init__(self) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            undefined=StrictUndefined,
            autoescape=select_autoescape(["html"]),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        self._jinja.filters["linked"] = linked

    def mail(self, template: str, locale: str, values: Mapping[str, Any]) -> Rendered:
        """Render a mail. A value the template needs and does not get is an error."""
        written = self._jinja.get_template(f"{locale}/{template}.txt").render(values)
        first, _, text = written.partition("\n")
        subject, text = short(first), text.strip() + "\n"
        html = self._jinja.get_template("mail.html").render(
            subject=subject, text=text, locale=locale
        )
        return Rendered(subject, text, html)


def short(subject: str) -> str:
    """One line without control characters, at most sixty letters."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", subject).split())
    return line if len(line) <= SUBJECT_LETTERS else line[: SUBJECT_LETTERS - 1] + "…"


def linked(line: str) -> Markup:
    """A line of text as HTML in which addresses of pages can be clicked."""
    parts = _LINK.split(line)
    return Markup("").join(
        Markup('<a href="{0}">{0}</a>').format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
