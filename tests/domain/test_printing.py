"""What is personal or secret prints as •••: tracebacks and logs outlive everything."""

from datetime import UTC, datetime

from domain.candidate import Candidate
from domain.ports import ConnectionView, Incoming, Letter, Rendered

NOW = datetime(2026, 6, 2, tzinfo=UTC)


def test_sealed_columns_print_as_dots():
    row = Candidate(
        company_id="cmp_1", id="cnd_1", profile=b"sealed", email_hmac=b"hash", created_at=NOW
    )

    assert "profile=•••" in repr(row)
    assert "email_hmac=•••" in repr(row)
    assert "cnd_1" in repr(row)
    assert "sealed" not in repr(row)


def test_values_with_somebody_in_them_print_as_their_kind():
    letter = Letter("mai_1", "hanako@mail.example", "会社", "件名", "本文", "<p>", NOW)
    values = [
        letter,
        Rendered("件名", "花子 様", "<p>花子</p>"),
        Incoming(b"body", {"signature": "s"}, NOW),
        ConnectionView("ats_1", ["a secret"]),
    ]

    assert [repr(value) for value in values] == [
        "Letter(•••)", "Rendered(•••)", "Incoming(•••)", "ConnectionView(•••)",
    ]  # fmt: skip
