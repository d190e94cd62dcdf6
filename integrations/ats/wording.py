"""What the words of a reason or a status may mean: a proposal to a person, never a decision.

Tenants name their reasons as they like, in English and Japanese. Where the words name a side
plainly, that side is proposed; where they are used for both sides ("Compensation", 条件不一致) or
speak of both, nothing is.
"""

import re
import unicodedata
from collections.abc import Iterable


def suggested_reason(text: str) -> str | None:
    """What an end for this reason may be: company, candidate, other, hired; null if unclear."""
    told = _folded(text)
    if _HIRED.fullmatch(told):
        return "hired"
    return _only_side(told, _BY_WHOM) or _only_side(told, _REASONS)


def suggested_status(text: str) -> str | None:
    """What this status may be: rejected, withdrawn, hired, active; null if unclear."""
    told = _folded(text)
    if _HIRED.fullmatch(told) or _PLACED.fullmatch(told):
        return "hired"
    side = _only_side(told, _BY_WHOM) or _only_side(told, _STATUSES)
    if side is not None:
        return {"company": "rejected", "candidate": "withdrawn"}[side]
    ended = any(pattern.search(told) for _, pattern in (*_BY_WHOM, *_REASONS))
    if ended or _ENDED_SOMEHOW.search(told):
        return None
    return "active" if _UNDER_WAY.search(told) else None


def _folded(text: str) -> str:
    """Full and half width, case, apostrophes, dashes and blanks made alike."""
    plain = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold().replace("\u2019", "'")
    return " ".join(re.sub(r"[-\u2010-\u2015_/|:]", " ", plain).split())


_LONGEST = 500
"""Characters of a reason that are looked at: no name of one is longer."""


def _only_side(told: str, patterns: Iterable[tuple[str, re.Pattern[str]]]) -> str | None:
    """The one side the words name; null where they name none, or more than one."""
    named = {side for side, pattern in patterns if pattern.search(told)}
    return named.pop() if len(named) == 1 else None


_HIRED = re.compile(r"(was |has been |been )?hired|採用(決定|済み?|者)?|入社(決定|済み?)?")
_PLACED = re.compile(r"placed|joined|onboard(ed|ing)|started|joined company")

_US = r"(us|company|the company|client|employer|hiring (manager|team)|recruiter|organi[sz]ation)"
_THEM = r"(candidate|the candidate|applicant|the applicant|talent)"
_SAID_NO = r"(declined|rejected|refused|turned down|withdr(e|a)wn?)"
_NO_TO_US = r"(declined|rejected|refused|turned down)"

_BY_WHOM = (
    ("candidate", re.compile(
        rf"\bby {_THEM}\b|\b{_THEM} (has )?(withdr(e|a)wn?|declined|refused|dropped out)\b"
        rf"|\bthey rejected us\b|\b{_NO_TO_US} (us|our|the offer|offer|an offer)\b"
        r"|\boffer (was )?(declined|rejected|refused|turned down)\b"
        r"|(本人|応募者|候補者|求職者)(都合|希望|の都合|からの?|より|側)"
    )),
    ("company", re.compile(
        rf"\bby {_US}\b|\bwe (have )?{_SAID_NO}\b|\b{_US} {_SAID_NO}\b"
        r"|\boffer (was )?(withdrawn|rescinded|revoked|retracted|cancell?ed)\b"
        r"|\b(withdrew|rescinded|revoked|retracted) (our|the|an) offer\b"
        r"|(当社|弊社|自社|企業)(都合|の都合|からの?|より|側)|内定(を)?(取り?消し?|取消)"
    )),
)  # fmt: skip
"""Words that say outright who ended it: they beat the others."""

_LACKS = r"(experience|skills?|qualifications?|requirements?|knowledge|seniority)"
_FAILED = r"(test|assessment|interview|screen(ing)?|reference|references|background check|exam)"

_WITHDREW = re.compile(
    r"\bwithdr(e|a)w(n|al|s|ing)?\b|\bdropped out\b|\bpulled out\b|\bopted out\b"
    r"|\b(accepted|took|taken|taking|has|chose) (a |an |the )?(another|other|different|competing)"
    r" (offer|job|position|role|opportunity)\b"
    r"|\b(accepted|took|offer|hired|job) (offer )?elsewhere\b|\baccepted counter ?offer\b"
    r"|\bstay(s|ed|ing)? (at|with|in) (their |his |her )?current\b|\bno longer interested\b"
    r"|辞退|(応募|選考)(の|を)?(取り?下げ|取り?消し?|キャンセル)|現職(に)?(残留|継続)"
    r"|他社(へ|に|で|を)?(の)?(内定)?(入社|決定|承諾|就職|決まっ)"
)
_TURNED_AWAY = re.compile(
    r"\bnot (an?|the|our) (\w+ ){0,2}(fit|match)\b|\b(bad|poor|wrong) (\w+ )?fit\b|\bnot selected\b"
    r"|\b(un|under|over) ?qualified\b|\bnot (\w+ )?qualified\b|\bnot enough " + _LACKS + r"\b"
    r"|\b(lack(s|ed|ing)?|insufficient|missing)( of)?( \w+){0,2} " + _LACKS + r"\b"
    r"|\b(does not|doesn't|did not|didn't) (meet|pass|have)\b|\bfailed (\w+ )?" + _FAILED + r"\b"
    r"|\b(position|role|job|req|requisition|vacancy)( was| has been| is)?"
    r" (closed|filled|cancell?ed|on hold)\b"
    r"|\b(hired|selected|chose) (another|other|someone|somebody)\b"
    r"|\b(stronger|better|more qualified) (candidates?|applicants?)\b|\bunsuccessful\b"
    r"|\bdisqualified\b|見送り|見送る|不採用|不合格|書類落ち|選考落ち|募集(を)?(終了|停止|中止|締切|充足)"
    r"|(スキル|経験|能力|知識|資格|実務)(が|の)?(不足|未達|足り)|(基準|要件|水準)(に|を)?(未達|達し|満たさ)"
    r"|(他|別)の?(候補者|応募者)(を|で|に|が)?(採用|決定|内定)|ポジション(が)?(クローズ|充足)"
)
_NOBODY = re.compile(
    r"\bduplicated?\b|\bspam\b|\btest (candidate|application|record|data)\b|^test$|\bmerged\b"
    r"|\bmoved to (another|other|a different)\b|\bby mistake\b|重複|誤登録"
    r"|誤って|テスト(応募|データ)"
)

_REASONS = (
    ("candidate", re.compile(rf"{_WITHDREW.pattern}|\bdeclined\b|\bturned down\b")),
    ("company", re.compile(rf"{_TURNED_AWAY.pattern}|^rejected$|\brejected after\b")),
    ("other", _NOBODY),
)
_STATUSES = (
    ("candidate", _WITHDREW),
    ("company", re.compile(rf"{_TURNED_AWAY.pattern}|(?<!candidate )\brejected\b")),
)
"""A status "Declined" alone is used for both sides; a reason of that name is the candidate's."""

_ENDED_SOMEHOW = re.compile(
    r"\b(closed?|archived?|ended|finished|completed?|rejected|declined|deleted|inactive|blocked"
    r"|no show|not interested|junk|blacklist(ed)?)\b|終了|クローズ|完了|対象外|削除|無効|取り?消し?"
)
_UNDER_WAY = re.compile(
    r"\b(new|appl(ied|ication)|active|open|in (review|process|progress)|under review|screen(ing)?"
    r"|interview(s|ing|ed)?|assessment|test|offer(ed)?|submitted|shortlist(ed)?|qualified|lead"
    r"|sourced|phone|contacted|pending|background check|reference check|on hold)\b"
    r"|応募|書類|選考|面接|面談|内定|オファー|新規|未対応|対応中|進行中|日程調整|適性|試験|保留"
)
