import pytest

from domain.feedback import TOPICS, hits

GOOD = (
    "課題を整理して順序立てて説明される点が印象に残りました。今回の職務では大規模な運用のご経験を"
    "重視しました。監視の設計に触れられると、さらに強みになると存じます。"
)
GOOD_EN = "You explained your reasoning clearly. For this role we needed more experience with data."


def codes(text: str, *names: str) -> list[str]:
    return [hit.code for hit in hits(text, names)]


@pytest.mark.parametrize("text", [GOOD, GOOD_EN])
def test_good_feedback_passes(text):
    assert codes(text) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_every_private_topic_is_found(topic):
    assert "feedback_topic" in codes(f"{GOOD}なお、{topic}についても伺いました。")


def test_full_width_and_half_width_are_the_same():
    assert codes(GOOD + "ウツ") == []
    assert codes(GOOD + "ｈｔｔｐｓ：／／x.example") == ["feedback_contact"]


@pytest.mark.parametrize(
    ("added", "code"),
    [
        ("ご連絡は 090-1234-5678 まで。", "feedback_contact"),
        ("ご連絡は jinji@mirai.example まで。", "feedback_contact"),
        ("詳しくは https://mirai.example をご覧ください。", "feedback_contact"),
        ("ご希望の年収と合いませんでした。", "feedback_salary"),
        ("ご希望は 600万円 でした。", "feedback_salary"),
        ("他の候補者のほうが経験豊富でした。", "feedback_comparison"),
        ("正直に申し上げて無能だと感じました。", "feedback_insult"),
        ("山田さんのほうが適していました。", "feedback_other_person"),
    ],
)
def test_what_must_not_be_said_is_named(added, code):
    assert codes(GOOD + added) == [code]


@pytest.mark.parametrize("word", ["皆様", "お客様", "仕様", "多様", "同様"])
def test_ordinary_words_are_not_persons(word):
    assert codes(GOOD + f"{word}のご説明も分かりやすかったです。") == []


def test_the_candidates_own_name_may_be_used():
    assert codes(GOOD + "試験様のご説明は明快でした。", "試験 花子", "試験") == []
    assert codes(GOOD + "試験様のご説明は明快でした。") == ["feedback_other_person"]


@pytest.mark.parametrize(
    ("letters", "found"),
    [(29, ["feedback_length"]), (30, []), (400, []), (401, ["feedback_length"])],
)
def test_thirty_to_four_hundred_letters(letters, found):
    assert codes("あ" * letters) == found
