"""Words that hint at personal data nobody should have to give (APPI 2(3), domain rules 15.6).

A list of words cannot understand a sentence. It asks the person to look again before sending; it
never refuses, and what it found is kept nowhere. Words that mostly name work (介護, 障害対応) are
left out.
"""

import unicodedata

WORDS = (
    # APPI 2(3): race, creed, social status, medical and criminal history, victims of crimes
    "人種", "国籍", "在日", "部落", "信条", "宗教", "信仰", "病歴", "持病", "病気", "難病",
    "がん治療", "うつ病", "鬱病", "適応障害", "発達障害", "精神障害", "身体障害", "知的障害",
    "障害者手帳", "障がい者手帳", "障害があ", "障がいがあ", "通院", "入院", "手術", "服薬",
    "健康診断の結果", "感染症", "前科", "前歴", "犯罪歴", "逮捕", "服役", "少年院", "保護観察",
    "被害に遭",
    # 指針: family origin, creed and activity, appearance
    "本籍", "出身地", "出生地", "家族の職業", "家柄", "実家の", "家族構成", "持ち家", "借家",
    "支持政党", "政党", "労働組合", "組合活動", "学生運動", "容姿", "妊娠", "生活保護", "ethnic",
    "nationality", "religio", "my faith", "disabilit", "illness", "disease", "depress", "diagnos",
    "hospital stay", "surgery", "medication", "pregnan", "criminal record", "arrest", "convict",
    "victim of", "political part", "trade union", "place of birth",
)  # fmt: skip


def words_in(text: str) -> list[str]:
    """The words of the list that stand in the text, in the list's order; none: nothing to say."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in WORDS if word in folded]
