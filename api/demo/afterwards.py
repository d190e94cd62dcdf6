"""What follows a no, beyond yes or no: ways in, documents, corrections, questions, requests.

Every act is somebody in front of a browser; where a page does not offer it, nothing happens.
"""

import asyncio
from datetime import date, datetime
from urllib.parse import urlsplit

from api.demo import clock, visitor
from api.demo.people import HR, OFFICER, TOKYO, Person
from api.demo.visitor import Browser
from api.demo.world import World
from api.shapes import utc_text
from integrations.pdf import Document, Facts, render

_GOOD = ("結論から話せた", "職場の雰囲気を質問できた", "経験を数字で伝えられた")
_IMPROVE = ("志望動機が長かった", "逆質問の準備が足りなかった", "声が小さくなる場面があった")
_FEEDBACK = (
    "お話しくださった改善のご経験は、進め方まで具体的でわかりやすく伝わりました。今回は、この職種で"
    "使う道具の実務経験をより重視いたしました。"
)
_INCIDENT = {
    "outline": "健康診断の結果を含む書類1通が、権限のない部署の共有フォルダに保存されていた。",
    "data_items": "氏名、生年月日、健康診断の結果",
    "persons": "1名",
    "cause": "保存先の取り違え。フォルダの権限の確認が手順になかった。",
    "secondary_damage": "閲覧の記録を確認し、部署の外への持ち出しがないことを確認した。",
    "towards_persons": "ご本人にお詫びし、経緯をご説明した。",
    "publication": "公表の予定はない。",
    "prevention": "保存先を一つに限り、権限を毎月確認する。",
}


class Afterwards:
    """People after the answer, the company's people, and what they say to one another."""

    def __init__(self, world: World) -> None:
        self.world = world

    # ways to the form

    async def to_form(self, browser: Browser, person: Person) -> bool:
        """By the link in the mail, or by the company's public link."""
        if person.joins:
            return await self._join(browser, person.email)
        link = await self.world.link(person.email, "/c/")
        if link is not None:
            await browser.open(link)
        return link is not None

    async def joined_unknown(self, name: str, job: str) -> None:
        """Somebody proves an address nobody knows: HR has to find the application."""
        async with Browser() as browser:
            if await self._join(browser, "private.address@mail.example"):
                path = urlsplit(str(browser.page.url)).path
                await browser.press(path, ("name", name), ("job", job))

    async def handed_over(self, person: Person) -> None:
        """HR makes a link and hands it over; the person answers by it."""
        found = await self.world.application(person)
        if found is None:
            return
        async with Browser() as browser:
            await self._at_desk(browser, HR, f"/dashboard/applications/{found['id']}")
            await browser.press("/invitation")
            link = browser.find(r'value="(http[^"]+/c/[^"]+)"')
        if link is not None:
            async with Browser() as browser:
                first = {self.world.demo["agencies"][0]["id"]}
                await visitor.answer_form(browser.http, link, agencies=first)

    async def _join(self, browser: Browser, email: str) -> bool:
        slug = self.world.demo["company"]["slug"]
        await browser.open(f"{self.world.base}/join/{slug}")
        await browser.press(f"/join/{slug}", ("email", email))
        await clock.settle(self.world.runtime)
        link = await self.world.link(email, f"/join/{slug}/")
        if link is None:
            return False
        await browser.open(link)
        return await browser.press(urlsplit(link).path)

    # documents

    async def send_file(self, browser: Browser, person: Person) -> None:
        """A résumé, sent from the form."""
        form = str(browser.page.url)
        content = await asyncio.to_thread(render, _resume(person, self.world.now))
        await browser.open(f"{form}/files")
        name = f"履歴書_{person.family}.pdf"
        await browser.press("/files", ("kind", "resume_file"), file=(name, content))

    async def read_by_agency(self, number: int, relay: str) -> None:
        """An agency reads the package, and every document it names."""
        agency = self.world.agencies[number]
        package = await agency.get(f"/v1/agency/relays/{relay}/package")
        for file in package.get("files", []):
            await agency.download(file["url"])

    # the person's own page

    async def corrected(self, person: Person) -> None:
        """Another telephone number, and notes for the next interview."""
        async with Browser() as browser:
            page = await self.world.at_own_page(browser, person)
            if page is None:
                return
            await browser.open(f"{page}/correct")
            await browser.press("/correct", ("phone", f"080-0000-{person.number:04d}"))
            application = browser.find(r"/reflection/(app_\w+)")
            if application is None:
                return
            await browser.open(f"{page}/reflection/{application}")
            said = [("good", one) for one in _GOOD] + [("improve", one) for one in _IMPROVE]
            await browser.press(f"/reflection/{application}", *said)

    async def took_correction(self, person: Person, number: int) -> None:
        """The agency reads again, and says that it has the right data now."""
        relay = await self.world.relay(person, number)
        if relay is not None:
            await self.read_by_agency(number, relay)
            body = {"answer": "corrected", "at": utc_text(self.world.now)}
            await self.world.agency_says(
                number, relay, f"corrected-{relay}", "withdrawal-ack", body
            )

    async def renewed(self, person: Person) -> None:
        """The consent ends soon: it shall go on at the first agency."""
        link = await self.world.link(person.email, "/renew")
        if link is not None:
            async with Browser() as browser:
                first = {self.world.demo["agencies"][0]["id"]}
                await visitor.renew(browser.http, link, agencies=first)

    async def asked_for_feedback(self, person: Person) -> None:
        """One press."""
        async with Browser() as browser:
            if await self.world.at_own_page(browser, person):
                await browser.press("/feedback")

    async def asked_who_has_what(self, person: Person) -> None:
        """Disclosure of the records of hand-overs (個人情報保護法 33(5))."""
        await self._asked(person, "disclosure_provision_records", "")

    async def asked_what_for(self, person: Person) -> None:
        """What the data is used for (同 32(2))."""
        words = "応募時の情報を、どのような目的で利用されているか教えてください。"
        await self._asked(person, "purpose_notice", words)

    async def _asked(self, person: Person, kind: str, words: str) -> None:
        async with Browser() as browser:
            page = await self.world.at_own_page(browser, person)
            if page is not None:
                await browser.open(f"{page}/requests")
                once = ("submission_id", f"history-{person.number}-{kind}")
                await browser.press("/requests", once, ("kind", kind), ("words", words))

    # the company's people

    async def answered_feedback(self) -> None:
        """HR answers the oldest request for feedback."""
        async with Browser() as browser:
            await self._at_desk(browser, HR, "/dashboard/feedback-requests")
            await browser.press("/answer", ("words", _FEEDBACK))

    async def answered_request(self) -> None:
        """The privacy officer answers the request that is due first."""
        async with Browser() as browser:
            await self._at_desk(browser, OFFICER, "/dashboard/privacy/requests")
            found = browser.find(r"/dashboard/privacy/requests/(rrq_\w+)")
            if found is not None:
                await browser.open(f"{self.world.base}/dashboard/privacy/requests/{found}")
                await browser.press("/answer", ("result", "granted"), ("channel", "my_page"))

    async def recorded_guardian(self, person: Person) -> None:
        """The consent of a minor's guardian came on paper."""
        found = await self.world.application(person)
        if found is None:
            return
        async with Browser() as browser:
            page = f"/dashboard/privacy/people/{found['candidate_id']}"
            await self._at_desk(browser, OFFICER, page)
            await browser.press(
                "/guardian", ("name", f"{person.family} 恵"), ("relation", "母"),
                ("document", "同意書 2026-07 キャビネットB"), ("method", "paper"),
            )  # fmt: skip

    async def opened_incident(self) -> None:
        """Something went wrong: it is registered and reported."""
        local = self.world.now.astimezone(TOKYO)
        async with Browser() as browser:
            if await self._incident(browser):
                return
            await browser.open(f"{self.world.base}/dashboard/privacy/incidents/new")
            await browser.press(
                "/incidents", ("known_on", local.date().isoformat()), ("known_time", "09:30"),
                ("kinds", "special_care"), ("persons", "1"),
                *((f"item_{name}", said) for name, said in _INCIDENT.items()),
            )  # fmt: skip
            await browser.press("/preliminary")
            await browser.press("/told")

    async def closed_incident(self) -> None:
        """The whole report is made."""
        async with Browser() as browser:
            if await self._incident(browser):
                await browser.press("/final", ("sure", "yes"))

    async def _incident(self, browser: Browser) -> bool:
        await self._at_desk(browser, OFFICER, "/dashboard/privacy/incidents")
        found = browser.find(r"/dashboard/privacy/incidents/(inc_\w+)")
        if found is not None:
            await browser.open(f"{self.world.base}/dashboard/privacy/incidents/{found}")
        return found is not None

    async def _at_desk(self, browser: Browser, address: str, page: str) -> None:
        await self.world.sign_in(browser, address)
        await browser.open(f"{self.world.base}{page}")


def _resume(person: Person, now: datetime) -> Document:
    born = date(1985 + person.number % 15, 1 + person.number % 12, 1 + person.number % 28)
    return Document(
        title="履歴書",
        lang="ja",
        made_at=now.replace(microsecond=0),
        lead=f"{person.family} {person.given}({person.family_kana} {person.given_kana})",
        blocks=(
            Facts(
                pairs=(
                    ("生年月日", f"{born.year}年{born.month}月{born.day}日"),
                    ("電話番号", person.phone),
                    ("メールアドレス", person.email),
                ),
            ),
            Facts(
                title="職歴",
                pairs=(
                    ("2016年4月", "見本商事株式会社 入社"),
                    ("2021年10月", f"見本工業株式会社 入社({person.job})"),
                ),
            ),
        ),
    )
