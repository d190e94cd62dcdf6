"""What is kept of a person's notes, and that nobody else reads them."""

import ast
from pathlib import Path

import pytest

from domain.reflection import LONGEST, cleaned, is_empty, stage_of

ROOT = Path(__file__).parents[2]
MAY_READ = {
    "domain/tables.py", "domain/flows/person/reflect.py", "domain/views/reflection.py",
    "domain/flows/person/erase_candidate.py", "domain/flows/person/change_person.py",
}  # fmt: skip
"""Makes the table known; the person's own page; and what erases or moves a person's record."""
OWN_PAGE = {
    "api/routes/candidate_reflection.py", "domain/views/my_file.py",
    "domain/flows/person/reflect.py",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        ("一次面接", "first"), ("1次面接(オンライン)", "first"), ("二次面接", "second"),
        ("2次", "second"), ("最終面接", "final"), ("役員面接", "final"),
        ("Final interview", "final"),
        ("2nd interview", "second"), ("書類選考", None), ("", None),
    ],
)  # fmt: skip
def test_the_checklist_follows_the_stage_where_its_name_says_it(words, stage):
    assert stage_of(words) == stage


def test_only_known_fields_are_kept_and_none_is_too_long():
    typed = {
        "stage": "third", "secret": "x",
        "checks": {"first": {"1": "yes", "2": "maybe", "9": "yes"}, "third": {"1": "yes"}},
        "questions": "a\r\nb\0\x07" + "c" * 3000, "good": ["one\ntwo", "", "three", "four"],
    }  # fmt: skip

    kept = cleaned(typed)

    assert kept["stage"] is None
    assert kept["checks"] == {"first": {"1": "yes"}}
    assert "secret" not in kept
    assert kept["questions"].startswith("a\nbc")
    assert len(kept["questions"]) == LONGEST
    assert kept["good"] == ["one two", "", "three"]
    assert kept["improve"] == ["", "", ""]


def test_a_stage_alone_is_nothing_worth_keeping():
    assert is_empty(cleaned({"stage": "first"}))
    assert is_empty(cleaned({"good": ["", " ", ""]}))
    assert not is_empty(cleaned({"checks": {"final": {"5": "not_yet"}}}))
    assert not is_empty(cleaned({"improve": ["", "", "声"]}))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_nobody_but_the_persons_own_page_reads_the_notes():
    """No view of a company or an agency, no list, no number: not even by accident."""
    nouns, views = set(), set()
    for floor in ("api", "integrations", "domain"):
        for path in (ROOT / floor).rglob("*.py"):
            found, place = set(imports_of(path)), str(path.relative_to(ROOT))
            nouns |= {place} if "domain.reflection" in found else set()
            views |= {place} if "domain.views.reflection" in found else set()

    assert nouns <= MAY_READ
    assert views <= OWN_PAGE


def test_no_statement_names_the_table_of_the_notes_elsewhere():
    naming = {
        str(path.relative_to(ROOT))
        for floor in ("api", "integrations", "domain")
        for path in (ROOT / floor).rglob("*.py")
        if any(f" {word} reflection" in path.read_text("utf-8") for word in ("FROM", "JOIN"))
    }

    assert naming == {"domain/views/reflection.py"}
