"""The measurement erases real people, and its copies are people like any other."""

import io

from rich.console import Console

from bench import erasure


def test_it_measures_among_nobody_and_among_many(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    told = io.StringIO()
    plan = erasure.Plan(people=2, others=50, warm_up=1)

    found = erasure.measure(plan, Console(file=told, width=120))

    assert found.rows == 50 * 11
    assert min(found.empty, found.full, found.bare_empty, found.bare_full) > 0
    assert "full to empty" in told.getvalue()
