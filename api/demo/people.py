"""The people of the demo's history. All are invented; their addresses lie under a reserved name."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TOKYO = ZoneInfo("Asia/Tokyo")
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
_PROGRESS = ("placed", "met", "contacted", "accepted", "declined", "placed", "recommended")


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
