"""`relay dev`: the product with invented people, its own database and a movable clock."""

import contextlib
import json
import secrets
import signal
from base64 import b64encode
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.ext.asyncio import AsyncSession

from api import schema, serve
from api.demo import clock, facts, history, people, place
from api.demo.doors import MOVING
from api.demo.history import History
from api.runtime import Runtime, app_password, owner_url
from api.settings import Settings
from domain.flows.office import open_account

_FACT = "demo_accounts"
COMPANY: dict[str, Any] = {
    "slug": "mirai",
    "name": "株式会社みらい製作所",
    "name_en": "Mirai Works K.K.",
    "address": "東京都千代田区丸の内1-1-1",
    "representative": "代表取締役 見本 太郎",
    "department": "人事部",
    "sender_name": "採用担当",
    "contact": "採用担当 saiyo@mirai.example",
    "harassment_contact": "人事相談窓口 soudan@mirai.example",
    "privacy_officer": "管理本部長",
    "privacy_contact": "個人情報相談窓口 privacy@mirai.example",
    "feedback_requests": True,
}
AGENCIES: tuple[dict[str, Any], ...] = (
    {
        "name": "あおぞらキャリア株式会社", "name_en": "Aozora Career K.K.",
        "address": "東京都港区芝1-2-3", "representative": "代表取締役 見本 一子",
        "license_number": "13-ユ-300001", "license_valid_until": date(2030, 3, 31),
        "privacy_url": "https://aozora.example/privacy",
    },
    {
        "name": "ひだまり人材株式会社", "name_en": "Hidamari Talent K.K.",
        "address": "大阪府大阪市北区梅田4-5-6", "representative": "代表取締役 見本 二郎",
        "license_number": "27-ユ-300002", "license_valid_until": date(2029, 9, 30),
        "privacy_url": "https://hidamari.example/privacy",
    },
)  # fmt: skip
GUARANTEES = ({"months": 6}, {"months": 3})
MEMBERS = (
    (people.HR, "人事 花子", ["recruiter", "head", "admin"]),
    (people.OFFICER, "法務 次郎", ["privacy_officer", "feedback_approver"]),
)


@dataclass
class Demo:
    """One run of the demo."""

    settings: Settings
    console: Console
    with_history: bool

    def run(self) -> None:
        """Install what is missing, open the doors, tell the story, stay until Ctrl-C."""
        signal.signal(signal.SIGTERM, _end)
        with self.console.status("Waiting for the last run to end …"):
            alone = contextlib.ExitStack()
            alone.enter_context(place.alone(self.settings.data_dir))
        with alone:
            self._run(place.with_keys(self.settings))

    def _run(self, settings: Settings) -> None:
        with contextlib.ExitStack() as ending:
            with self.console.status("Starting PostgreSQL …"):
                settings, server = place.with_database(settings)
            if server is not None:
                ending.callback(server.stop)
            with self.console.status("Applying migrations …"):
                schema.run_upgrade(owner_url(settings), app_password(settings))
            serve.run(self._stay(Runtime.build(settings)))

    async def _stay(self, runtime: Runtime) -> None:
        await clock.load(runtime)
        kept = await facts.read(runtime, _FACT)
        if self.with_history and kept is None:
            await history.begin(runtime)
        demo = await accounts(runtime, kept)
        await serve.both(runtime, lambda: self._open(runtime, demo))

    async def _open(self, runtime: Runtime, demo: dict[str, Any]) -> None:
        begun = self.with_history and await history.has_begun(runtime)
        if begun and not await history.is_over(runtime):
            await self._play(runtime, demo)
        demo["hr_login_url"] = await _sign_in_url(runtime, demo)
        _write(runtime.settings.data_dir / "demo.json", demo)
        self.console.print(_panel(demo))

    async def _play(self, runtime: Runtime, demo: dict[str, Any]) -> None:
        columns = (TextColumn("Playing a year of hiring"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("history")
            await History(runtime, demo, MOVING).play(
                lambda done, of: bar.update(task, completed=done, total=of)
            )


def _end(*_: object) -> None:
    """SIGTERM outside of the doors' own time ends like Ctrl-C: what was started is stopped."""
    raise SystemExit(0)


async def accounts(runtime: Runtime, kept: str | None) -> dict[str, Any]:
    """The demo's accounts, opened on the first start and kept (sealed) for the next."""
    sealer = runtime.tools.sealer
    if kept is None:
        async with runtime.database.transaction() as db:
            # Opened and remembered together: a start that is killed has done both or nothing.
            demo = await _open_accounts(runtime, db)
            sealed = sealer.seal(json.dumps(demo).encode(), about=_FACT)
            await facts.note(db, _FACT, sealed.hex())
    else:
        demo = json.loads(sealer.open(bytes.fromhex(kept), about=_FACT))
    return _with_urls(demo, runtime.settings.base_url)


async def _open_accounts(runtime: Runtime, db: AsyncSession) -> dict[str, Any]:
    now, sealer = runtime.clock(), runtime.tools.sealer
    made = [await open_account.open_agency(db, now=now, **facts) for facts in AGENCIES]
    company = await open_account.open_company(db, now=now, **COMPANY)
    agencies = []
    for number, agency in enumerate(made):
        await open_account.agree(
            db, company.id, agency.id, number=f"CR-{number + 1:03d}", effective_on=now.date(),
            now=now, terms={"guarantee": GUARANTEES[number]},
        )  # fmt: skip
        client, secret = await open_account.register_client(
            db, name="integration", now=now, agency_id=agency.id
        )
        await open_account.register_member(
            db, sealer, email=f"consultant@agency{number + 1}.example", name="担当 三郎",
            roles=["consultant"], now=now, agency_id=agency.id,
        )  # fmt: skip
        agencies.append({"id": agency.id, "name": agency.name, "client_id": client.id,
                         "client_secret": secret})  # fmt: skip
    client, secret = await open_account.register_client(
        db, name="hr", now=now, company_id=company.id
    )
    for email, name, roles in MEMBERS:
        await open_account.register_member(
            db, sealer, email=email, name=name, roles=roles, now=now, company_id=company.id
        )
    ats = [await _connect(runtime, db, company.id, provider) for provider in _SECRETS]
    return {
        "company": {"id": company.id, "slug": company.slug, "client_id": client.id,
                    "client_secret": secret},
        "agencies": agencies,
        "ats": ats,
    }  # fmt: skip


_SECRETS = {
    "greenhouse": lambda: secrets.token_hex(24),
    "standard-webhooks": lambda: "whsec_" + b64encode(secrets.token_bytes(24)).decode(),
}


async def _connect(runtime: Runtime, db: Any, company_id: str, provider: str) -> dict[str, str]:
    secret = _SECRETS[provider]()
    sources = {"source_map": {"Company site": "company_site"}} if provider == "greenhouse" else {}
    connection = await open_account.connect_ats(
        db, runtime.tools.sealer, company_id, provider=provider, name=provider.title(),
        secrets=[secret], now=runtime.clock(), settings=sources,
    )  # fmt: skip
    return {"provider": provider, "connection_id": connection.id, "secret": secret}


def _with_urls(demo: dict[str, Any], base: str) -> dict[str, Any]:
    for connection in demo["ats"]:
        where = f"{connection['provider']}/{connection['connection_id']}"
        connection["webhook_url"] = f"{base}/v1/ats/{where}"
    return {"base_url": base, "hr_login_url": "", "mailbox_url": f"{base}/dev/mailbox", **demo}


async def _sign_in_url(runtime: Runtime, demo: dict[str, Any]) -> str:
    async with runtime.database.transaction() as db:
        member = await open_account.member_by_email(db, runtime.tools.sealer, MEMBERS[0][0])
        if member is None:
            return f"{demo['base_url']}/login"
        # The demo's hours may fly: its link outlives them, and still works once.
        life = timedelta(days=3650)
        token = await open_account.claim_link(db, member, now=runtime.clock(), life=life)
    return f"{runtime.settings.base_url}/login/claim#{token}"


def _write(path: Path, demo: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(demo, ensure_ascii=False, indent=1))
    draft.replace(path)


def _panel(demo: dict[str, Any]) -> Panel:
    base = demo["base_url"]
    words = (
        f"[bold]Dashboard[/]   {demo['hr_login_url']}\n"
        f"            (works once; later: {base}/login with [bold]{MEMBERS[0][0]}[/],\n"
        f"            the sign-in mail is in the mailbox)\n"
        f"[bold]Mailbox[/]     {demo['mailbox_url']}\n"
        f"[bold]API docs[/]    {base}/docs\n"
        f"[bold]Agency[/]      {base}/login with consultant@agency1.example\n"
        f"[bold]Clock[/]       curl -X POST {base}/dev/clock "
        "-H 'content-type: application/json' \\\n"
        "            -d '{\"advance_seconds\": 3600}'\n"
        "[dim]Ctrl-C stops everything; the next start goes on with the same data.[/]"
    )
    return Panel(words, title="Career Relay キャリアリレー", expand=False)
