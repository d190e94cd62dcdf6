"""Files of applications against a real database: once each row, whatever dies in between."""

import asyncio
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from api import imports
from api.jobs import run_now
from api.timers import sweep
from domain import vault
from domain.application import Application, Interview
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.delivery import AtsEvent
from domain.errors import Conflict, Gone
from domain.flows.hear import import_file, import_new, import_run
from domain.flows.hear import report_application as report
from domain.flows.hear.import_file import JOB
from domain.imports import Import, ImportFault, ImportPart, ImportRow
from domain.notice import Notice
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.factories import work

pytestmark = pytest.mark.anyio
# The clock of tests stands at Tuesday 2026-06-02, 10:00 in Tokyo; history ends before 2026-05-26.
HEAD = (
    "応募ID,候補者ID,氏名,フリガナ,メールアドレス,電話番号,求人名,応募経路,応募日,面接日時,"
    "選考結果,結果日\n"
)


def line(
    number, result="選考中", on="", met="", *, person="", mail=None, job="営業", source="自社HP"
):
    mail = f"{number.lower()}@mail.example" if mail is None else mail
    return (
        f"{number},{person},試験 花子,ﾃｽﾄ ﾊﾅｺ,{mail},090-1234-5678,{job},{source},2026/04/01,"
        f"{met},{result},{on}\n"
    )


async def upload(runtime, world, content, **said):
    """A file that was looked at, with what a person says about it."""
    content = content if isinstance(content, bytes) else (HEAD + content).encode()
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        run = await imports.upload(
            db, runtime.tools, company_id, content,
            name="一覧.csv", connection_id="", actor="tests", now=runtime.clock(),
        )  # fmt: skip
        if said:
            before = said.pop("history_before", None)
            run = await import_file.say(
                db, runtime.tools, company_id, run.id, told=said, history_before=before
            )
            await imports.look(db, runtime.tools, run)
    return run


async def start(runtime, world, run, *, skip_bad=False):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await import_file.start(
            db, world.company.id, run.id, skip_bad=skip_bad, now=runtime.clock()
        )


async def take(runtime, world, content, *, skip_bad=False, **said):
    """Upload, start, work; the import as it is afterwards."""
    run = await upload(runtime, world, content, **said)
    await start(runtime, world, run, skip_bad=skip_bad)
    await work(runtime)
    return await one(runtime, world.company.id, Import, id=run.id)


async def everything(runtime, world):
    """Every row of the tables an import may write, without the imports themselves."""
    kinds = (Application, Candidate, Interview, Deadline, Notice, AtsEvent, ImportRow)
    return {kind.__name__: await rows(runtime, world.company.id, kind) for kind in kinds}


async def outcomes(runtime, world):
    found = await rows(runtime, world.company.id, Application)
    return {row.external_id: (row.outcome, row.holds) for row in found}


async def test_nothing_is_stored_before_it_is_started(runtime, world):
    run = await upload(runtime, world, line("A-1", "不採用", "2026/06/01"))
    await work(runtime)

    stored = await everything(runtime, world)
    assert {name: len(found) for name, found in stored.items()} == dict.fromkeys(stored, 0)
    assert (run.state, run.rows_total, run.rows_good, run.will["tell"]) == ("preview", 1, 1, 1)
    for part in await rows(runtime, world.company.id, ImportPart):
        assert "花子".encode() not in part.sealed


async def test_a_file_takes_effect_as_if_an_ats_had_told_it(runtime, world):
    run = await take(
        runtime, world,
        line("A-1", "不採用", "2026/06/01", "2026/06/01 15:00")
        + line("A-2", "不採用", "2026/05/20", "2026/05/18 10:00")
        + line("A-3", "辞退", "2026/06/01")
        + line("A-4", "内定承諾", "2026/06/01")
        + line("A-5", "選考中", met="2026/06/01 16:00")
        + line("A-6", "選考中", met="2026/06/05 16:00"),
        source_map={"自社HP": "company_site"},
    )  # fmt: skip

    assert (run.state, run.done, run.changed, run.failed) == ("done", 6, 6, 0)
    assert run.will == {
        "tell": 1, "history": 1, "withdraw": 1, "hire": 1, "active": 2, "interviews": 3,
        "interviews_past": 1, "unreachable": 0, "unclear": 0, "unchanged": 0,
    }  # fmt: skip
    assert await outcomes(runtime, world) == {
        "A-1": ("rejected", []), "A-2": ("rejected", ["history"]), "A-3": ("withdrawn", []),
        "A-4": ("hired", []), "A-5": ("active", []), "A-6": ("active", []),
    }  # fmt: skip
    deadlines = await rows(runtime, world.company.id, Deadline)
    assert [(one_.due_on, one_.state) for one_ in deadlines] == [
        (date(2026, 6, 4), "open"), (date(2026, 6, 4), "open"),
    ]  # fmt: skip
    notice = await one(runtime, world.company.id, Notice)
    assert (notice.kind, notice.state) == ("rejected", "scheduled")
    sources = {row.source for row in await rows(runtime, world.company.id, Application)}
    assert sources == {"company_site"}


async def test_only_those_the_preview_counts_are_told(runtime, world):
    content = "".join(
        line(f"A-{day:02}", "不採用", f"2026/05/{day:02}", "2026/05/01 10:00")
        for day in range(20, 32)
    )
    run = await take(runtime, world, content)
    forward(runtime.clock, days=2)
    await work(runtime)

    assert (run.will["tell"], run.will["history"]) == (6, 6)
    told = {mail["to"] for mail in await mailbox(runtime, world.company.id)}
    assert told == {f"a-{day:02}@mail.example" for day in range(26, 32)}


async def test_a_later_day_of_history_tells_nobody_and_a_person_lets_go(runtime, world):
    await take(runtime, world, line("A-1", "不採用", "2026/06/01"), history_before=date(2026, 6, 2))
    forward(runtime.clock, days=2)
    await work(runtime)
    assert await mailbox(runtime, world.company.id) == []

    row = await one(runtime, world.company.id, Application)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await report.clear_hold(
            db, runtime.tools, await db.get_one(type(world.company), world.company.id), row.id,
            hold="history", reason="まだ伝えていない", actor="tests", now=runtime.clock(),
        )  # fmt: skip
    forward(runtime.clock, days=1)
    await work(runtime)

    assert [mail["to"] for mail in await mailbox(runtime, world.company.id)] == ["a-1@mail.example"]


async def test_the_same_file_twice_changes_nothing(runtime, world):
    content = (
        line("A-1", "不採用", "2026/06/01", "2026/06/01 15:00")
        + line("A-2", "不採用", "2026/05/20")
        + line("A-3", "辞退")
        + line("A-4", "選考中", met="2026/06/01 16:00")
        + line("", "内定承諾", mail="x@mail.example")
    )
    first = await take(runtime, world, content)
    before = await everything(runtime, world)
    forward(runtime.clock, minutes=10)

    again = await take(runtime, world, content)

    assert (first.changed, again.changed, again.unchanged, again.failed) == (5, 0, 5, 0)
    assert (first.duplicate_of, again.duplicate_of) == (None, first.id)
    assert again.will == {**dict.fromkeys(again.will, 0), "unchanged": 5}
    assert await everything(runtime, world) == before


async def test_the_next_export_changes_what_has_changed(runtime, world):
    await take(runtime, world, line("A-1", met="2026/06/01 15:00") + line("A-2"))
    forward(runtime.clock, days=1)

    run = await take(
        runtime, world,
        line("A-1", "不採用", "2026/06/03", "2026/06/01 15:00") + line("A-2", job="人事"),
    )  # fmt: skip

    assert (run.changed, run.unchanged) == (2, 0)
    found = {row.external_id: row for row in await rows(runtime, world.company.id, Application)}
    assert (found["A-1"].outcome, found["A-2"].job_title) == ("rejected", "人事")
    assert len(await rows(runtime, world.company.id, Deadline)) == 1
    assert (await one(runtime, world.company.id, Notice)).state == "scheduled"


async def test_an_older_file_does_not_reopen_what_has_ended(runtime, world):
    await take(runtime, world, line("A-1", "辞退", "2026/06/01"))
    forward(runtime.clock, minutes=5)

    run = await take(runtime, world, line("A-1", "選考中") + line("A-2", "選考中"))

    assert (run.changed, run.failed) == (1, 1)
    assert (await outcomes(runtime, world))["A-1"][0] == "withdrawn"
    fault = await one(runtime, world.company.id, ImportFault)
    assert (fault.row, fault.field, fault.code) == (2, "", "already_ended")


async def test_one_bad_row_is_listed_and_the_others_are_taken_over(runtime, world):
    content = line("A-1") + line("A-2", mail="no address") + line("A-3", "謎") + line("A-4")
    run = await upload(runtime, world, content)

    with pytest.raises(Conflict) as why:
        await start(runtime, world, run)

    assert why.value.code == "rows_bad"
    assert (run.rows_total, run.rows_good, run.rows_bad) == (4, 2, 2)

    await start(runtime, world, run, skip_bad=True)
    await work(runtime)

    done = await one(runtime, world.company.id, Import)
    assert (done.state, done.done, done.changed, done.failed) == ("done", 4, 2, 0)
    assert set(await outcomes(runtime, world)) == {"A-1", "A-4"}
    faults = await rows(runtime, world.company.id, ImportFault)
    assert [(one_.row, one_.field, one_.code) for one_ in faults] == [
        (3, "email", "email_invalid"), (4, "outcome", "outcome_unknown"),
    ]  # fmt: skip


async def test_a_row_the_database_refuses_does_not_stop_the_others(runtime, world, database_url):
    """Something nobody foresaw: here a rule of the database that one row breaks."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - the owner's, here only

    owner = create_async_engine(database_url)
    async with owner.begin() as connection:
        await connection.execute(
            text("ALTER TABLE application ADD CONSTRAINT t CHECK (job_title <> '危険')")
        )
    await owner.dispose()

    run = await take(runtime, world, line("A-1") + line("A-2", job="危険") + line("A-3"))

    assert (run.state, run.changed, run.failed) == ("done", 2, 1)
    assert set(await outcomes(runtime, world)) == {"A-1", "A-3"}
    fault = await one(runtime, world.company.id, ImportFault)
    assert (fault.row, fault.code) == (3, "row_broke")
    assert len(await rows(runtime, world.company.id, Candidate)) == 2


async def test_it_starts_only_when_every_question_is_answered(runtime, world):
    header, body = "氏名,電話番号,選考結果\n", "試験 花子,9012345678,不採用\n"
    content = (header + body).encode("cp932")
    run = await upload(runtime, world, content)

    with pytest.raises(Conflict) as why:
        await start(runtime, world, run)

    assert why.value.code == "questions_open"
    assert run.open_questions == ["leading_zero", "undated_rejections"]

    answers = {"leading_zero": "restore", "undated_rejections": "history"}
    await take(runtime, world, content, answers=answers)

    row = await one(runtime, world.company.id, Application)
    assert (row.outcome, row.holds) == ("rejected", ["no_email", "history"])
    assert await profile(runtime, world) == {"display_name": "試験 花子", "phone": "+819012345678"}


async def profile(runtime, world, **which):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await one(runtime, world.company.id, Candidate, **which)
        there = await db.get_one(Candidate, (world.company.id, candidate.id))
        found = await vault.profile_of(db, runtime.tools.sealer, there)
    return {name: value for name, value in found.items() if name != "from_ats"}


async def test_what_is_known_of_a_person(runtime, world):
    await take(runtime, world, line("A-1", "辞退", person="P-1"))

    assert await profile(runtime, world, external_id="P-1") == {
        "display_name": "試験 花子", "email": "a-1@mail.example", "emails": ["a-1@mail.example"],
        "phone": "+819012345678", "family_name_kana": "テスト", "given_name_kana": "ハナコ",
    }  # fmt: skip


def plain(found):
    """Rows without what differs in every run: ids, sealed bytes, and when it was (a moment ago)."""
    left_out = {
        "id", "candidate_id", "application_id", "profile", "company_id",
        "created_at", "told_at", "as_of", "applied_at", "review_at",
    }  # fmt: skip
    kept = [{k: v for k, v in one_.model_dump().items() if k not in left_out} for one_ in found]
    return sorted(kept, key=lambda one_: repr(sorted(one_.items())))


async def test_rows_written_together_are_those_of_the_long_way(runtime, world, monkeypatch):
    content = (
        line("A-1", "不採用", "2026/05/20", "2026/05/18 10:00", person="P-1")
        + line("A-2", "終了", "2026/06/01")
        + line("A-3", "辞退", "2026/06/01", person="P-3")
        + line("A-4", "内定承諾", "2026/06/01 10:00")
        + line("A-5", "選考中", source="")
        + line("A-6", "不採用", "2026/06/01", mail="")
    )
    await take(runtime, world, content, source_map={"自社HP": "company_site"})
    together = await everything(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        people = await db.scalars(select(Candidate).order_by(col(Candidate.id)))
        known = [await vault.profile_of(db, runtime.tools.sealer, who) for who in people.all()]
    other = await another(runtime)
    # The door to the quick way is shut: the product's own long way is what it is compared with.
    monkeypatch.setattr(import_run, "is_plain", lambda _: False)
    assert import_new.is_plain is not import_run.is_plain

    await take(runtime, other, content, source_map={"自社HP": "company_site"})

    one_by_one = await everything(runtime, other)
    assert all(who.review_at is not None for who in together["Candidate"])
    for name, found in together.items():
        assert plain(found) == plain(one_by_one[name]), name
    assert {name: len(found) for name, found in together.items()} == {
        "Application": 6, "Candidate": 6, "Interview": 0, "Deadline": 0, "Notice": 0,
        "AtsEvent": 5, "ImportRow": 6,
    }  # fmt: skip
    async with runtime.database.transaction(company_id=other.company.id) as db:
        people = await db.scalars(select(Candidate).order_by(col(Candidate.id)))
        same = [await vault.profile_of(db, runtime.tools.sealer, who) for who in people.all()]
    assert sorted(known, key=repr) == sorted(same, key=repr)
    assert {who["display_name"] for who in known} == {"試験 花子"}


async def another(runtime):
    from tests.factories import make_world  # noqa: PLC0415 - one test has two companies

    return await make_world(runtime, slug="other", agencies=0)


class Died(BaseException):
    """The process is gone: nothing in the product catches this."""


async def test_a_worker_that_dies_between_batches_leaves_nothing_twice_and_nothing_out(
    runtime, world, monkeypatch
):
    monkeypatch.setattr(import_run, "BATCH", 10)
    content = "".join(
        line(f"A-{n:03}", "不採用", "2026/06/01", "2026/06/01 15:00") for n in range(35)
    )
    run = await upload(runtime, world, content)
    await start(runtime, world, run)
    seen = []

    def die(count):
        seen.append(count)
        if len(seen) == 2:
            raise Died

    with pytest.raises(Died):
        await imports.work(runtime, world.company.id, run.id, 0, progress=die)

    there = await one(runtime, world.company.id, Import)
    assert (there.state, there.done, there.next_row) == ("running", 20, 22)
    assert len(await rows(runtime, world.company.id, Application)) == 20

    await run_now(runtime, JOB, world.company.id, run.id, "0")  # the dead worker's job, once more
    assert (await one(runtime, world.company.id, Import)).done == 20
    forward(runtime.clock, seconds=61)
    await sweep(runtime, runtime.clock())
    await work(runtime)

    done = await one(runtime, world.company.id, Import)
    assert (done.state, done.done, done.changed, done.unchanged) == ("done", 35, 35, 0)
    assert len(await rows(runtime, world.company.id, Application)) == 35
    assert len(await rows(runtime, world.company.id, Notice)) == 35
    assert len(await rows(runtime, world.company.id, AtsEvent)) == 70


async def test_a_worker_that_dies_within_a_batch_takes_all_of_it_along(runtime, world, monkeypatch):
    content = "".join(line(f"A-{n}", met="2026/06/01 15:00") for n in range(5))
    run = await upload(runtime, world, content)
    await start(runtime, world, run)
    apply, count = import_run.apply_event, []

    async def dying(*given):
        count.append(1)
        if len(count) == 3:
            raise Died
        return await apply(*given)

    monkeypatch.setattr(import_run, "apply_event", dying)
    with pytest.raises(Died):
        await imports.work(runtime, world.company.id, run.id, 0)
    assert await rows(runtime, world.company.id, Application) == []

    monkeypatch.setattr(import_run, "apply_event", apply)
    await work(runtime)

    assert (await one(runtime, world.company.id, Import)).changed == 5
    assert len(await rows(runtime, world.company.id, Deadline)) == 5


async def test_two_workers_on_one_file_do_each_row_once(runtime, world, monkeypatch):
    monkeypatch.setattr(import_run, "BATCH", 5)
    run = await upload(runtime, world, "".join(line(f"A-{n:02}", "辞退") for n in range(40)))
    await start(runtime, world, run)

    await asyncio.gather(*(imports.work(runtime, world.company.id, run.id, 0) for _ in range(2)))
    await work(runtime)

    done = await one(runtime, world.company.id, Import)
    assert (done.state, done.done, done.changed) == ("done", 40, 40)
    assert len(await rows(runtime, world.company.id, Candidate)) == 40


async def test_a_long_file_is_worked_off_by_many_short_jobs(runtime, world, monkeypatch):
    monkeypatch.setattr(import_run, "BATCH", 4)
    run = await upload(runtime, world, "".join(line(f"A-{n}", "辞退") for n in range(10)))
    await start(runtime, world, run)

    for reached in (4, 8, 10):
        there = await one(runtime, world.company.id, Import)
        await imports.work(runtime, world.company.id, run.id, there.next_row, seconds=-1)
        assert (await one(runtime, world.company.id, Import)).done == reached
    await work(runtime)

    assert (await one(runtime, world.company.id, Import)).state == "done"


async def test_afterwards_nothing_of_the_file_is_left(runtime, world):
    run = await take(runtime, world, line("A-1"))

    assert await rows(runtime, world.company.id, ImportPart) == []
    assert (run.rules, run.view, run.look_at) == (None, None, None)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        with pytest.raises(Gone):
            await import_file.content_of(db, runtime.tools.sealer, run)


async def test_a_file_nobody_starts_is_forgotten_after_a_week(runtime, world):
    await upload(runtime, world, line("A-1") + line("A-2", mail="x"))
    forward(runtime.clock, days=6, hours=23)
    await work(runtime)
    assert len(await rows(runtime, world.company.id, Import)) == 1

    forward(runtime.clock, hours=2)
    await work(runtime)

    for kind in (Import, ImportPart, ImportFault):
        assert await rows(runtime, world.company.id, kind) == []


async def test_an_import_that_cannot_go_on_stops_and_can_be_started_again(runtime, world):
    run = await upload(runtime, world, line("A-1"))
    await start(runtime, world, run)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        part = (await db.scalars(select(ImportPart))).one()
        sealed, part.sealed = part.sealed, b"\x00" * 40
        db.add(part)
    await work(runtime)

    stopped = await one(runtime, world.company.id, Import)
    assert (stopped.state, stopped.error) == ("failed", "broke")

    async with runtime.database.transaction(company_id=world.company.id) as db:
        part = (await db.scalars(select(ImportPart))).one()
        part.sealed = sealed
        db.add(part)
    await start(runtime, world, run)
    await work(runtime)

    done = await one(runtime, world.company.id, Import)
    assert (done.state, done.error, done.changed) == ("done", None, 1)


async def test_a_row_says_nothing_against_what_was_told_later(runtime, world):
    await take(runtime, world, line("A-1", met="2026/06/01 15:00"))
    row = await one(runtime, world.company.id, Application)
    forward(runtime.clock, hours=3)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(type(world.company), world.company.id)
        rejection = {"initiated_by": "candidate", "reason_id": None, "not_before": None}
        await report.report_decision(
            db, runtime.tools, company, await db.get_one(Application, (company.id, row.id)),
            outcome="withdrawn", at=runtime.clock(), now=runtime.clock(), rejection=rejection,
        )  # fmt: skip

    await take(runtime, world, line("A-1", "不採用", "2026/06/01 18:00", "2026/06/01 15:00"))
    forward(runtime.clock, days=3)
    await work(runtime)

    assert (await outcomes(runtime, world))["A-1"][0] == "withdrawn"
    assert await mailbox(runtime, world.company.id) == []


async def test_the_files_of_others_are_not_there(runtime, world):
    run = await upload(runtime, world, line("A-1"))
    stranger = await another(runtime)

    assert await rows(runtime, stranger.company.id, Import) == []
    async with runtime.database.transaction(company_id=stranger.company.id) as db:
        assert await import_run.take_up(
            db, runtime.tools, stranger.company.id, run.id, next_row=0, now=runtime.clock()
        ) is None  # fmt: skip


def test_the_kept_time_is_short():
    assert timedelta(days=30) >= import_file.KEPT_UNSTARTED


def shown():
    """A console whose words can be read."""
    from rich.console import Console  # noqa: PLC0415 - these tests only

    return Console(record=True, width=200, force_terminal=False)


async def test_the_command_line_shows_first_and_imports_when_told(runtime, world, tmp_path):
    from api.import_cli import Wish, run_import  # noqa: PLC0415 - these tests only

    path, console = tmp_path / "a.csv", shown()
    path.write_text(HEAD + line("A-1", "不採用", "2026/06/01") + line("A-2", mail="x"))

    code = await run_import(runtime, console, Wish(path, "mirai", True, False, {}))

    assert code == 0
    assert "Will be told" in console.export_text(clear=False)
    assert await rows(runtime, world.company.id, Import) == []

    code = await run_import(runtime, console, Wish(path, "mirai", False, True, {}))

    assert code == 0
    assert "done: 1 changed, 0 unchanged, 0 failed, 1 left out." in console.export_text()
    assert set(await outcomes(runtime, world)) == {"A-1"}


async def test_the_command_line_guesses_nothing(runtime, world, tmp_path):
    from api.import_cli import Wish, run_import  # noqa: PLC0415 - these tests only

    path, console = tmp_path / "a.csv", shown()
    path.write_text("氏名,電話番号\n試験 花子,9012345678\n")

    asked = await run_import(runtime, console, Wish(path, "mirai", False, True, {}))
    nobody = await run_import(runtime, console, Wish(path, "nobody", False, True, {}))
    assert (asked, nobody) == (1, 1)
    assert "--answer leading_zero" in console.export_text(clear=False)
    assert await rows(runtime, world.company.id, Application) == []

    answers = {"leading_zero": "keep"}
    assert await run_import(runtime, console, Wish(path, "mirai", False, True, answers)) == 0
    assert len(await rows(runtime, world.company.id, Application)) == 1


async def test_a_file_opens_without_the_old_key_after_a_rotation(runtime, world):
    from pydantic import SecretStr  # noqa: PLC0415 - one test

    from api.cli import _rotate  # noqa: PLC0415
    from api.demo.place import new_ring_key  # noqa: PLC0415
    from api.runtime import Runtime  # noqa: PLC0415

    run = await upload(runtime, world, line("A-1"), answers={"leading_zero": "keep"})
    old, new = runtime.settings.keys.get_secret_value(), new_ring_key()
    both = runtime.settings.model_copy(update={"keys": SecretStr(f"{new},{old}")})
    rotated = await _rotate(Runtime.build(both, runtime.clock))
    only = runtime.settings.model_copy(update={"keys": SecretStr(new)})
    later = Runtime.build(only, runtime.clock)

    async with later.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(Import, (world.company.id, run.id))
        sealer = later.tools.sealer
        opened = await import_file.content_of(db, sealer, there)
        said = import_file.said_of(sealer, there)
        view, name = import_file.view_of(sealer, there), import_file.name_of(sealer, there)
    await later.database.close()

    assert rotated == 6
    assert opened == (HEAD + line("A-1")).encode()
    assert (said["answers"], view["numbered"], name) == ({"leading_zero": "keep"}, True, "一覧.csv")
