"""The people of the demo's history. All are invented; their addresses lie under a reserved name."""

import random
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TOKYO = ZoneInfo("Asia/Tokyo")
HR, OFFICER = "hr@mirai.example", "privacy@mirai.example"
_FAMILY = (
    ("青木", "アオキ"), ("石田", "イシダ"), ("上原", "ウエハラ"), ("岡本", "オカモト"),
    ("川口", "カワグチ"), ("小林", "コバヤシ"), ("佐々木", "ササキ"), ("清水", "シミズ"),
    ("高橋", "タカハシ"), ("中島", "ナカジマ"), ("西村", "ニシムラ"), ("野口", "ノグチ"),
    ("橋本", "ハシモト"), ("松田", "マツダ"), ("森", "モリ"), ("山﨑", "ヤマザキ"),
    ("吉田", "ヨシダ"), ("渡辺", "ワタナベ"),
)  # fmt: skip
_GIVEN = (
    ("葵", "アオイ"), ("彩花", "アヤカ"), ("一樹", "カズキ"), ("健太", "ケンタ"),
    ("沙織", "サオリ"), ("翔", "ショウ"), ("大輔", "ダイスケ"), ("千尋", "チヒロ"),
    ("直人", "ナオト"), ("花", "ハナ"), ("陽菜", "ヒナ"), ("真央", "マオ"),
    ("美咲", "ミサキ"), ("結衣", "ユイ"), ("悠斗", "ユウト"), ("凛", "リン"),
)  # fmt: skip
_JOBS = (
    ("法人営業", "営業部"), ("経理", "管理本部"), ("生産管理", "製造部"),
    ("組込みエンジニア", "開発部"), ("Webエンジニア", "開発部"), ("人事", "人事部"),
    ("品質保証", "品質部"), ("カスタマーサクセス", "営業部"),
)  # fmt: skip
_STAGES = ("一次面接", "二次面接", "最終面接")
_SOURCES = (
    "company_site", "company_site", "company_site", "direct", "employee_referral", "event",
    "agency",
)  # fmt: skip
_ENDINGS = (
    "rejected", "rejected", "rejected", "rejected", "rejected", "rejected", "rejected",
    "withdrawn", "hired",
)  # fmt: skip
_ANSWERS = ("both", "first", "first", "second", "decline", "silent")
_FEEDBACK = (
    None,
    (
        "これまでのご経験を、数字を交えて具体的にお話しいただきました。今回の職種では、お客様との"
        "交渉を主導されたご経験をより重視いたしました。次の機会には、ご自身の役割を先にお伝え"
        "いただくと、さらに伝わりやすくなると存じます。"
    ),
    None,
    (
        "課題に対して筋道を立てて考えられる点が印象に残りました。今回は、この職種で使う設計手法の"
        "実務経験を重視いたしました。学ばれた内容を小さな作品としてまとめられると、力がより伝わると"
        "存じます。"
    ),
    None,
)
_PROGRESS = (
    "placed", "met", "placed", "contacted", "placed", "declined", "placed", "accepted",
    "recommended",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One invented candidate, and what will happen to them."""

    number: int
    family: str
    given: str
    family_kana: str
    given_kana: str
    email: str
    phone: str
    job: str
    department: str
    stage: str
    source: str
    interview_ends: datetime
    ending: str
    answer: str
    progress: str

    @property
    def on_paper(self) -> bool:
        """Turned down before an interview, in the company's other ATS."""
        return self.number % 8 == 3  # noqa: PLR2004 - every eighth

    @property
    def late(self) -> bool:
        """Decided after the deadline: it happens, and it shows."""
        return self.number % 17 == 6  # noqa: PLR2004 - now and then

    @property
    def answers(self) -> bool:
        """Says yes or no when asked."""
        asked = self.ending == "rejected" and self.source != "agency" and not self.on_paper
        return asked and self.answer != "silent"

    @property
    def consents(self) -> bool:
        """Says yes to an agency when asked."""
        return self.answers and self.answer != "decline"

    @property
    def withdraws(self) -> bool:
        """Takes it back after some days."""
        return self.number % 11 == 0

    @property
    def joins(self) -> bool:
        """Comes by the company's public link, not by the one in the mail."""
        return self.number % 13 == 0

    @property
    def sends_file(self) -> bool:
        """Adds a résumé to the form."""
        return self.number % 9 == 0

    @property
    def corrects(self) -> bool:
        """Puts something right on their own page, after the agency has read it."""
        return self.number % 10 == 7  # noqa: PLR2004 - every tenth

    @property
    def renews(self) -> bool:
        """Goes on with the consent when asked."""
        return self.number % 10 == 1

    @property
    def feedback(self) -> str | None:
        """What the interviewer writes, for some."""
        return _FEEDBACK[self.number % len(_FEEDBACK)]

    @property
    def external_id(self) -> str:
        """The application's number in the invented ATS."""
        return f"M-{self.number:04d}"


def cast(start: date, end: date, *, seed: int = 20261121) -> list[Person]:
    """About one person a week between two days, the same every time for the same days."""
    dice = random.Random(seed)  # noqa: S311 - invented people, not secrets
    people: list[Person] = []
    day = start
    while day < end:
        day += timedelta(days=dice.choice((4, 6, 7, 8)))
        while day.weekday() >= 5:  # noqa: PLR2004 - interviews are on weekdays
            day += timedelta(days=1)
        if day < end:
            people.append(_person(len(people) + 1, day, dice))
    return people


def latest(end: datetime, *, seed: int = 7) -> list[Person]:
    """Two people of the last working days whose stories are still open at the end.

    One waits for a decision; of the other nobody said who ended it, so a person has to look.
    """
    dice = random.Random(seed)  # noqa: S311 - invented people, not secrets
    day, made = end.astimezone(TOKYO).date(), []
    for number, ending in ((901, "open"), (902, "unclear")):
        day -= timedelta(days=1)
        while day.weekday() >= 5:  # noqa: PLR2004 - interviews are on weekdays
            day -= timedelta(days=1)
        made.append(replace(_person(number, day, dice), ending=ending, source="company_site"))
    return made


def student(end: datetime, *, seed: int = 17) -> Person:
    """Somebody under eighteen who applied a month before the end."""
    dice = random.Random(seed)  # noqa: S311 - invented people, not secrets
    day = end.astimezone(TOKYO).date() - timedelta(days=30)
    while day.weekday() >= 5:  # noqa: PLR2004 - interviews are on weekdays
        day -= timedelta(days=1)
    made = _person(903, day, dice)
    return replace(made, ending="rejected", answer="first", source="company_site")


def _person(number: int, day: date, dice: random.Random) -> Person:
    family, family_kana = dice.choice(_FAMILY)
    given, given_kana = dice.choice(_GIVEN)
    job, department = dice.choice(_JOBS)
    hour = dice.choice((11, 13, 14, 15, 16))
    return Person(
        number=number,
        family=family,
        given=given,
        family_kana=family_kana,
        given_kana=given_kana,
        email=f"candidate{number:03d}@mail.example",
        phone=f"090-0000-{number:04d}",
        job=job,
        department=department,
        stage=dice.choice(_STAGES),
        source=dice.choice(_SOURCES),
        interview_ends=datetime.combine(day, time(hour), TOKYO),
        ending=dice.choice(_ENDINGS),
        answer=dice.choice(_ANSWERS),
        progress=_PROGRESS[number % len(_PROGRESS)],
    )
