"""Mails as Jinja templates: a subject, a text that stands alone, the same as small HTML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.ports import Rendered


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

    def mail(self, template: str, locale: str, values: Mapping[str, Any]) -> Rendered:
        """Render a mail. A value the template needs and does not get is an error."""
        written = self._jinja.get_template(f"{locale}/{template}.txt").render(values)
        subject, _, text = written.partition("\n")
        text = text.strip() + "\n"
        html = self._jinja.get_template("mail.html").render(
            subject=subject, text=text, locale=locale
        )
        return Rendered(subject.strip(), text, html)
