"""The feedback guard (公正な採用選考, domain rules 16): what must not be said to a candidate.

A list of words cannot understand a sentence. It stops what should be read again by a person.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.errors import Invalid

SHORTEST, LONGEST = 30, 400
"""Letters: one strength, one point about this role, one suggestion need that many."""

TOPICS = (
    "本籍", "出身地", "国籍", "在日", "部落", "家族", "ご両親", "父親", "母親", "兄弟", "家柄",
    "実家", "持ち家", "借家", "宗教", "信仰", "政党", "支持政党", "思想", "信条", "尊敬する人物",
    "労働組合", "組合活動", "学生運動", "愛読", "購読", "容姿", "外見", "見た目", "体型", "身長",
    "体重", "年齢", "若さ", "性別", "女性だから", "男性だから", "結婚", "妊娠", "出産", "育児",
    "介護", "病歴", "持病", "障害", "うつ", "通院", "前科", "逮捕", "出生地", "生まれ育",
    "親御さん", "住宅状況", "住まい", "生活環境", "家庭環境", "人生観", "社会運動", "市民運動",
    "身元調査", "健康診断", "religio", "nationality", "birthplace", "where you were born",
    "hometown", "your age", "too old", "too young", "gender", "marri", "pregnan", "disabilit",
    "criminal record", "your family", "your parents", "political part", "trade union",
)  # fmt: skip
SALARY = ("年収", "給与", "給料", "月給", "賃金", "報酬", "salary", "wage")
COMPARISON = (
    "他の候補者", "他の応募者", "ほかの候補者", "ほかの応募者", "別の候補者", "別の応募者",
    "他候補者", "他の方", "ほかの方", "一番優秀", "最も優秀", "最優秀",
    "other candidate", "another candidate", "other applicant", "the best candidate",
)  # fmt: skip
INSULTS = (
    "無能", "馬鹿", "バカ", "頭が悪", "使えない", "役立たず", "だらしな", "みっともな", "気持ち悪",
    "常識がな", "非常識", "stupid", "idiot", "useless", "incompetent",
)  # fmt: skip
_LISTED = frozenset((*TOPICS, *SALARY, *COMPARISON, *INSULTS))

_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[a-z]{2,}")
_LINK = re.compile(r"https?://|www\.")
_PHONE = re.compile(r"(?:\+81|0)[\d\-‐-―−ー() ]{8,15}\d")
_MONEY = re.compile(r"\d[\d,]*\s*(?:万円|円|yen|jpy)|[¥$]\s*\d")
_PERSON = re.compile(r"([一-龥々ァ-ヶー]{1,6})(?:さん|様|氏|くん)(?![一-龥])")
_NOBODY = frozenset(
    {"客", "皆", "仕", "多", "同", "模", "有", "一", "異", "貴方", "貴殿", "面接官"}
)


@dataclass(frozen=True)
class Hit:
    """A rule that was touched, and by what."""

    code: str
    by: str


class Stopped(Invalid):
    """The guard stops it: the code of the first rule touched, its detail listing all."""

    def __init__(self, found: Sequence[Hit]) -> None:
        detail = "; ".join(f"{hit.code}: {hit.by}" for hit in found)
        super().__init__(detail, code=found[0].code)
        self.words = touching(found)


def touching(found: Sequence[Hit]) -> list[str]:
    """The listed words among them, for whoever looks again; patterns have none."""
    return [hit.by for hit in found if hit.by in _LISTED]


def hits(feedback: str, own_names: Collection[str] = ()) -> list[Hit]:
    """Every rule the text touches; none: it may go to the candidate.

    Codes: `feedback_length`, `feedback_topic`, `feedback_contact`, `feedback_salary`,
    `feedback_comparison`, `feedback_insult`, `feedback_other_person`. The candidate's own names may
    be used.
    """
    text = unicodedata.normalize("NFKC", feedback).casefold()
    found = [] if SHORTEST <= len(text.strip()) <= LONGEST else [_length(text)]
    found += [Hit("feedback_topic", word) for word in TOPICS if word in text]
    found += [
        Hit("feedback_contact", "contact") for rule in (_MAIL, _LINK, _PHONE) if rule.search(text)
    ]
    found += [Hit("feedback_salary", word) for word in SALARY if word in text]
    found += [Hit("feedback_salary", "amount")] if _MONEY.search(text) else []
    found += [Hit("feedback_comparison", word) for word in COMPARISON if word in text]
    found += [Hit("feedback_insult", word) for word in INSULTS if word.casefold() in text]
    return found + _others(text, own_names)


def _length(text: str) -> Hit:
    return Hit("feedback_length", f"{len(text.strip())} letters, {SHORTEST} to {LONGEST} wanted")


def _others(text: str, own_names: Collection[str]) -> list[Hit]:
    own = [unicodedata.normalize("NFKC", name).casefold() for name in own_names if name]
    named = (found[1] for found in _PERSON.finditer(text))
    strangers = [
        name for name in named
        if name not in _NOBODY and not any(name in mine or mine in name for mine in own)
    ]  # fmt: skip
    return [Hit("feedback_other_person", "a person's name")] if strangers else []
