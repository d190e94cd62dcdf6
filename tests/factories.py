"""A small world for tests: one company with an agency, an agreement, clients and connections."""

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from api import timers
from api.runtime import Runtime
from api.worker import drain
from domain.agency import Agency
from domain.agreement import Agreement
from domain.company import Company
from domain.delivery import AtsConnection
from domain.flows.office import open_account

COMPANY: dict[str, Any] = {
    "name": "株式会社みらい製作所",
    "name_en": "Mirai Works K.K.",
    "address": "東京都千代田区丸の内1-1-1",
    "representative": "代表取締役 試験 一郎",
    "contact": "jinji@mirai.example",
    "harassment_contact": "相談窓口 harassment@mirai.example",
    "privacy_officer": "人事部長",
    "privacy_contact": "privacy@mirai.example",
}
AGENCY: dict[str, Any] = {
    "name": "あおぞらキャリア株式会社",
    "name_en": "Aozora Career K.K.",
    "address": "東京都港区芝1-2-3",
    "representative": "代表取締役 見本 二郎",
    "license_number": "13-ユ-300001",
    "license_valid_until": date(2030, 3, 31),
    "privacy_url": "https://aozora.example/privacy",
}


@dataclass
class World:
    """What a test needs to know of the rows it was given."""

    company: Company
    agencies: list[Agency]
    agreements: list[Agreement]
    connections: dict[str, AtsConnection]
    company_client: tuple[str, str]
    agency_clients: list[tuple[str, str]]
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def agency(self) -> Agency:
        return self.agencies[0]


async def make_world(
    runtime: Runtime, *, slug: str = "mirai", agencies: int = 2, **company: Any
) -> World:
    """Through the same flow as `relay bootstrap`."""
    now: datetime = runtime.clock()
    keys = {
        "greenhouse": secrets.token_hex(16),
        "standard-webhooks": "whsec_" + b64encode(secrets.token_bytes(24)).decode(),
    }
    async with runtime.database.transaction() as db:
        made = []
        for number in range(agencies):
            made.append(  # noqa: PERF401 - awaited one after the other
                await open_account.open_agency(
                    db, now=now, **{**AGENCY, "name": f"{AGENCY['name']}{number or ''}",
                                    "license_number": f"13-ユ-30000{number}"}
                )
            )  # fmt: skip
        there = await open_account.open_company(db, now=now, **{**COMPANY, "slug": slug, **company})
        agreements = [
            await open_account.agree(
                db,
                there.id,
                agency.id,
                number=f"{slug}-{n}",
                effective_on=date(2025, 1, 1),
                now=now,
            )
            for n, agency in enumerate(made)
        ]
        connections = {
            provider: await open_account.connect_ats(
                db, runtime.tools.sealer, there.id, provider=provider, name=provider,
                secrets=[secret], now=now,
            )
            for provider, secret in keys.items()
        }  # fmt: skip
        client, secret = await open_account.register_client(
            db, name="hr", now=now, company_id=there.id
        )
        programs = []
        for agency in made:
            one, its_secret = await open_account.register_client(
                db, name="agency", now=now, agency_id=agency.id
            )
            programs.append((one.id, its_secret))
    return World(there, made, agreements, connections, (client.id, secret), programs, keys)


async def work(runtime: Runtime) -> None:
    """Let time take effect: sweep what is due and run every job, until nothing is left."""
    for _ in range(10):
        looked = await timers.sweep(runtime, runtime.clock())
        await drain(runtime)
        if looked == 0:
            return


async def token_for(client: Any, credentials: tuple[str, str], scope: str = "") -> str:
    """A bearer token from the real token endpoint. `client` is a client on the app."""
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    answer = await client.post("/oauth/token", data=form, auth=credentials)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token
