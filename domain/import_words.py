"""The words of other systems' exports: headers, results, kinds of applicants (Japanese, English).

Words are compared in one form: NFKC, no blanks or punctuation, one case. A word nobody listed is
never guessed at: it is shown to a person with a suggestion.
"""

import re
import unicodedata
from functools import lru_cache

FIELDS: dict[str, tuple[str, ...]] = {
    "application_id": (
        "応募ID", "応募番号", "応募No", "応募コード", "応募管理番号", "エントリーID",
        "エントリー番号", "選考ID", "選考番号", "受付番号", "管理番号", "Application ID",
        "Application Number", "Application No", "Application", "Entry ID",
    ),
    "candidate_id": (
        "候補者ID", "候補者番号", "候補者コード", "応募者ID", "応募者番号", "応募者コード",
        "応募者No", "個人ID", "人材ID", "Candidate ID", "Candidate Number", "Applicant ID",
        "Person ID",
    ),
    "name": (
        "氏名", "名前", "お名前", "姓名", "氏名漢字", "漢字氏名", "候補者名", "応募者名",
        "応募者氏名", "候補者氏名", "候補者", "応募者", "Name", "Full Name", "Candidate",
        "Candidate Name", "Applicant", "Applicant Name",
    ),
    "family_name": (
        "姓", "苗字", "名字", "氏", "姓漢字", "漢字姓", "氏名姓", "Last Name", "Family Name",
        "Surname",
    ),
    "given_name": (
        "名", "名漢字", "漢字名", "氏名名", "First Name", "Given Name", "Forename",
    ),
    "kana": (
        "フリガナ", "ふりがな", "カナ", "かな", "氏名カナ", "氏名かな", "カナ氏名",
        "氏名フリガナ", "氏名ふりがな", "お名前カナ", "お名前フリガナ", "ヨミガナ", "よみがな",
        "読み仮名", "候補者名カナ", "応募者名カナ", "Kana", "Name Kana", "Furigana",
        "Phonetic Name",
    ),
    "family_kana": (
        "セイ", "せい", "姓カナ", "姓かな", "姓フリガナ", "カナ姓", "フリガナ姓", "ふりがな姓",
        "氏名カナ姓", "フリガナセイ", "Last Name Kana", "Family Name Kana", "Phonetic Last Name",
    ),
    "given_kana": (
        "メイ", "めい", "名カナ", "名かな", "名フリガナ", "カナ名", "フリガナ名", "ふりがな名",
        "氏名カナ名", "フリガナメイ", "First Name Kana", "Given Name Kana",
        "Phonetic First Name",
    ),
    "email": (
        "メールアドレス", "メール", "Eメール", "Eメールアドレス", "電子メール",
        "PCメールアドレス", "PCメール", "連絡先メールアドレス", "メールアドレス1", "E-mail",
        "Email", "Mail", "Email Address", "E-mail Address", "Mail Address", "Primary Email",
        "Personal Email",
    ),
    "phone": (
        "電話番号", "電話", "TEL", "携帯", "携帯電話", "携帯番号", "携帯電話番号",
        "連絡先電話番号", "日中連絡先", "電話番号1", "Phone", "Phone Number", "Mobile",
        "Mobile Phone", "Telephone", "Cell Phone", "Primary Phone",
    ),
    "job": (
        "求人", "求人名", "求人タイトル", "募集", "募集名", "募集職種", "募集ポジション", "職種",
        "職種名", "応募職種", "応募求人", "応募ポジション", "ポジション", "ポジション名",
        "募集要項", "採用枠", "Job", "Job Title", "Job Name", "Position", "Position Title",
        "Requisition", "Opening", "Job Opening", "Role",
    ),
    "department": (
        "部署", "部署名", "部門", "部門名", "配属部署", "配属先", "募集部署", "募集部門",
        "Department", "Team", "Division",
    ),
    "stage": (
        "選考段階", "選考ステージ", "選考ステップ", "選考フェーズ", "選考工程", "選考プロセス",
        "ステージ", "ステップ", "フェーズ", "現在の選考", "Stage", "Step", "Phase",
        "Current Stage", "Pipeline Stage", "Hiring Stage",
    ),
    "source": (
        "応募経路", "応募媒体", "媒体", "媒体名", "経路", "流入経路", "応募元", "チャネル",
        "応募チャネル", "採用経路", "採用チャネル", "応募ルート", "Source", "Application Source",
        "Candidate Source", "Channel", "Referral Source",
    ),
    "applicant_type": (
        "応募者区分", "採用区分", "区分", "新卒中途区分", "新卒中途", "雇用区分",
        "Applicant Type", "Candidate Type",
    ),
    "applied_at": (
        "応募日", "応募日時", "応募日付", "応募年月日", "エントリー日", "エントリー日時",
        "エントリー日付", "受付日", "Applied At", "Applied On", "Applied Date", "Date Applied",
        "Application Date", "Applied",
    ),
    "interview_at": (
        "面接日", "面接日時", "面接日付", "面接実施日", "面接実施日時", "面接開始日時",
        "面接予定日", "面接予定日時", "最終面接日", "直近面接日", "直近の面接日", "面談日",
        "面談日時", "Interview Date", "Interview At", "Interview On", "Interviewed At",
        "Interview Start", "Interview Time", "Last Interview", "Last Interview Date",
    ),
    "interview_end_at": (
        "面接終了日時", "面接終了時刻", "面接終了", "Interview End", "Interview Ended At",
        "Interview End Time",
    ),
    "interview_status": (
        "面接状況", "面接ステータス", "面接実施状況", "面接状態", "Interview Status",
        "Interview State",
    ),
    "outcome": (
        "選考結果", "結果", "合否", "合否結果", "最終結果", "選考ステータス", "選考状況",
        "選考状態", "ステータス", "応募ステータス", "応募状況", "Outcome", "Status", "Result",
        "Decision", "Application Status", "Candidate Status", "Hiring Status",
    ),
    "decided_at": (
        "結果日", "結果日時", "選考結果日", "選考終了日", "選考終了日時", "終了日", "不採用日",
        "不採用日時", "不合格日", "見送り日", "お見送り日", "辞退日", "合否決定日", "合否判定日",
        "結果確定日", "決定日", "判定日", "クローズ日", "Decided At", "Decision Date",
        "Rejected At", "Rejected On", "Rejection Date", "Date Rejected", "Closed At",
        "Closed Date", "Disposition Date", "Outcome Date", "Status Date",
    ),
    "ended_by": (
        "終了者", "終了区分", "辞退不採用区分", "不採用辞退区分", "Ended By", "Initiated By",
        "Closed By", "Rejected By",
    ),
    "reason": (
        "辞退不採用理由", "不採用辞退理由", "不採用理由", "不合格理由", "見送り理由",
        "お見送り理由", "辞退理由", "選考辞退理由", "終了理由", "選考終了理由", "理由", "Reason",
        "Rejection Reason", "Disposition Reason", "Withdrawal Reason", "Archive Reason",
        "Close Reason", "Disposition",
    ),
}  # fmt: skip
"""What a column can be, and what it is called elsewhere."""

OUTCOMES = ("rejected", "withdrawn", "hired", "active", "ended")
"""`ended`: it is over, and who ended it stands in another column, or nobody has told."""

_STAGE = (
    r"(?:書類(?:選考|審査)?|エントリー|カジュアル面談|面談|面接|"
    r"(?:[一二三四五]|[1-5])次(?:面接|選考|面談)?|最終(?:面接|選考|面談)?|適性検査|"
    r"筆記(?:試験)?|選考|オファー|内定|screening|interview|offer)"
)
_OUTCOME_WORDS = {
    "rejected": (
        "不採用", "不合格", "見送り", "お見送り", "見送", "採用見送り", "選考見送り", "不通過",
        "落選", "ng", "rejected", "declinedbycompany", "notselected", "nothired", "unsuccessful",
        "reject", "turneddown", "disqualified", "fail", "failed",
    ),
    "withdrawn": (
        "辞退", "ご辞退", "選考辞退", "応募辞退", "応募取消", "応募取り消し", "本人辞退",
        "候補者辞退", "応募者辞退", "内定辞退", "入社辞退", "withdrawn", "withdrew",
        "withdrawnbycandidate", "declinedbycandidate", "candidatewithdrew", "offerdeclined",
        "withdraw",
    ),
    "hired": (
        "採用", "採用決定", "入社", "入社済", "入社済み", "入社予定", "入社決定", "内定承諾",
        "内定受諾", "内定承諾済", "内定承諾済み", "承諾", "hired", "offeraccepted", "accepted",
        "joined",
    ),
    "active": (
        "選考中", "進行中", "対応中", "未対応", "未処理", "調整中", "日程調整中", "結果待ち",
        "合否待ち", "判定待ち", "保留", "通過", "合格", "応募", "新規", "新規応募", "書類選考",
        "書類選考中", "面接", "面接中", "面接調整中", "内定", "内定済", "内定通知済", "オファー",
        "オファー中", "active", "inprogress", "inprocess", "open", "new", "applied", "pending",
        "onhold", "screening", "interview", "interviewing", "offer", "offered", "offerextended",
        "passed", "pass", "review",
    ),
    "ended": (
        "終了", "選考終了", "クローズ", "完了", "対象外", "closed", "archived", "ended",
        "inactive",
    ),
}  # fmt: skip
_HINTS = (
    ("withdrawn", (
        "辞退", "取消", "withdr",
    )),
    ("rejected", (
        "不採用", "不合格", "見送", "不通過", "reject",
    )),
    ("hired", (
        "承諾", "入社", "hired", "accept",
    )),
    ("ended", (
        "終了", "クローズ", "close", "archiv",
    )),
    ("active", (
        "中", "待ち", "通過", "合格", "調整", "progress", "review",
    )),
)  # fmt: skip
_PARTIES = {
    "company": (
        "企業", "会社", "自社", "当社", "弊社", "人事", "会社都合", "企業都合", "不採用",
        "company", "us", "employer", "recruiter",
    ),
    "candidate": (
        "候補者", "応募者", "本人", "求職者", "辞退", "本人都合", "候補者都合", "応募者都合",
        "candidate", "applicant", "them",
    ),
}  # fmt: skip
_INTERVIEW_WORDS = {
    "completed": (
        "実施", "実施済", "実施済み", "完了", "済", "済み", "終了", "completed", "done", "held",
        "complete",
    ),
    "scheduled": (
        "予定", "調整済", "確定", "予定あり", "scheduled", "planned", "confirmed",
    ),
    "cancelled": (
        "キャンセル", "中止", "取消", "延期", "cancelled", "canceled",
    ),
    "no_show": (
        "欠席", "無断欠席", "不参加", "来社なし", "noshow",
    ),
}  # fmt: skip
_TYPE_WORDS = {
    "general": (
        "中途", "中途採用", "キャリア", "キャリア採用", "社会人", "一般", "転職", "既卒",
        "第二新卒", "正社員", "契約社員", "experienced", "general", "midcareer",
    ),
    "student": (
        "新卒", "新卒採用", "学生", "大学生", "大学院生", "専門学生", "インターン", "student",
        "newgraduate", "graduate", "intern",
    ),
    "high_school": (
        "高校生", "高卒", "新規高卒", "高校新卒", "highschool",
    ),
    "minor": (
        "未成年", "minor",
    ),
}  # fmt: skip
_SOURCE_HINTS = (
    ("company_site", (
        "自社", "hp", "ホームページ", "採用サイト", "コーポレート", "careersite", "companysite",
        "website", "careerspage", "careers",
    )),
    ("employee_referral", (
        "社員紹介", "リファラル", "縁故", "referral",
    )),
    ("event", (
        "説明会", "イベント", "合説", "セミナー", "event", "fair", "meetup",
    )),
    ("agency", (
        "エージェント", "人材紹介", "紹介会社", "agency", "agent",
    )),
    ("scout", (
        "スカウト", "ダイレクト", "scout", "sourced",
    )),
    ("job_board", (
        "ナビ", "求人サイト", "求人媒体", "ハローワーク", "indeed", "jobboard", "board",
    )),
    ("direct", (
        "直接", "direct",
    )),
)  # fmt: skip
SOURCES = (
    "company_site", "direct", "employee_referral", "event", "agency", "scout", "job_board", "other",
)  # fmt: skip
"""Where applications come from, in our words. Which of them may be relayed the company says."""

PARTIES = ("company", "candidate", "other")
APPLICANT_TYPES = tuple(_TYPE_WORDS)
_LEFT_OUT = re.compile(r"[\s\W_]+")
_ASIDE = re.compile(r"[((\[【〔<][^))\]】〕>]*[))\]】〕>]")


@lru_cache(maxsize=4096)
def plain(word: str) -> str:
    """The form in which words are compared: `E-mail ＊` and `ｅｍａｉｌ` are both `email`."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    return _LEFT_OUT.sub("", folded)


def field_of(header: str) -> str | None:
    """What a column is by its header; `氏名（必須）` is 氏名, `氏名（カナ）` is not."""
    whole = plain(header)
    if whole in _BY_HEADER:
        return _BY_HEADER[whole]
    return _BY_HEADER.get(plain(_ASIDE.sub("", unicodedata.normalize("NFKC", header))))


def outcome_of(word: str) -> str | None:
    """What a result word says; a stage may stand before it (`一次面接不合格`)."""
    whole = plain(word)
    if whole in _BY_OUTCOME:
        return _BY_OUTCOME[whole]
    staged = _STAGED.fullmatch(whole)
    return _BY_OUTCOME[staged[1]] if staged else None


def suggested_outcome(word: str) -> str | None:
    """What a person is offered for an unknown word. It decides nothing."""
    whole = plain(word)
    return next((code for code, hints in _HINTS if any(one in whole for one in hints)), None)


def party_of(word: str) -> str | None:
    """Who ended it, where a column of its own says so."""
    return _BY_PARTY.get(plain(word))


def interview_status_of(word: str) -> str | None:
    """Whether an interview is planned, was held, called off or missed."""
    return _BY_INTERVIEW.get(plain(word))


def applicant_type_of(word: str) -> str | None:
    """Which rules of contact apply to the applicant."""
    return _BY_TYPE.get(plain(word))


def suggested_source(word: str) -> str | None:
    """What a person is offered for a source's name. It decides nothing."""
    whole = plain(word)
    return next((code for code, hints in _SOURCE_HINTS if any(one in whole for one in hints)), None)


def _turned(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {plain(word): code for code, words in table.items() for word in words}


_BY_HEADER = _turned(FIELDS) | {plain(field): field for field in FIELDS}
_BY_OUTCOME = _turned(_OUTCOME_WORDS)
_BY_PARTY = _turned(_PARTIES)
_BY_INTERVIEW = _turned(_INTERVIEW_WORDS)
_BY_TYPE = _turned(_TYPE_WORDS)
_ENDINGS = sorted(
    (word for code in ("rejected", "withdrawn") for word in map(plain, _OUTCOME_WORDS[code])),
    key=len, reverse=True,
)  # fmt: skip
_STAGED = re.compile(f"{_STAGE}({'|'.join(map(re.escape, _ENDINGS))})")
