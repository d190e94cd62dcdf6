"""Nothing a person reads on the way to a consent, or after it, offers anything in return for it."""

from pathlib import Path

import pytest

from api.catalogue import catalogue
from domain.consent_text import FORBIDDEN

MAILS = Path(__file__).parents[2] / "integrations" / "mail" / "templates"
IN_ENGLISH = ("gift", "bonus", "reward you", "voucher", "cash back")


def test_no_mail_offers_a_reward() -> None:
    for path in sorted(MAILS.glob("ja/*.txt")):
        said = path.read_text("utf-8")
        assert [word for word in FORBIDDEN if word in said] == [], path.name
    for path in sorted(MAILS.glob("en/*.txt")):
        said = path.read_text("utf-8").lower()
        assert [word for word in IN_ENGLISH if word in said] == [], path.name


@pytest.mark.parametrize(("locale", "words"), [("ja", FORBIDDEN), ("en", IN_ENGLISH)])
def test_no_page_of_a_person_offers_a_reward(locale: str, words: tuple[str, ...]) -> None:
    pages = {key: said for key, said in catalogue(locale).items() if key.startswith("candidate")}

    assert len(pages) > 100
    found = {key for key, said in pages.items() if any(word in said.lower() for word in words)}
    assert found == set()


def test_a_mail_to_a_person_about_a_consent_leads_to_their_own_page_in_one_step() -> None:
    names = ("consent_receipt", "consent_ending", "consent_superseded", "withdrawal_confirmed",
             "provision_report")  # fmt: skip
    for locale in ("ja", "en"):
        for name in names:
            assert "{{ my_page }}" in (MAILS / locale / f"{name}.txt").read_text("utf-8")
