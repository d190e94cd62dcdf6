"""A database that has been there for years: deliveries as they stand after they were read."""

import json
from dataclasses import dataclass
from typing import Any

from bench.stage import Stage

COMPANIES, EACH = 50, 2
"""Whose the stored deliveries are: fifty companies with two connections, ours among them."""

# Sealed bytes cannot be packed any further; a piece of one random text at another place each time
# is as long, as irregular and much quicker to make.
_FILL = """
WITH owner AS (
  SELECT number,
         CASE number WHEN 0 THEN $2::text ELSE 'cmp_' || lpad(number::text, 26, '0')
         END AS company_id
  FROM generate_series(0, $4 - 1) AS number
), noise AS (
  SELECT string_agg(sha256(convert_to(n::text, 'UTF8')), '' ORDER BY n) AS bytes
  FROM generate_series(1, 1000) AS n
)
INSERT INTO delivery (company_id, id, connection_id, provider, provider_event, key, candidate_id,
                      body, headers, status, events, effects, received_at, processed_at)
SELECT owner.company_id,
       'dlv_0' || lpad(to_hex(n), 25, '0'),
       CASE WHEN owner.number = 0 AND n / $4 % $5 = 0 THEN $3::text
            ELSE 'ats_' || lpad((owner.number * $5 + n / $4 % $5)::text, 26, '0') END,
       'greenhouse', 'reject_candidate',
       sha256(convert_to('stored ' || n, 'UTF8')),
       'cnd_0' || lpad(to_hex(n), 25, '0'),
       substring(noise.bytes FROM 1 + n * 17 % 28000 FOR 1150),
       substring(noise.bytes FROM 1 + n * 31 % 28000 FOR 80),
       'processed',
       substring(noise.bytes FROM 1 + n * 13 % 28000 FOR 900),
       jsonb_build_array(jsonb_build_object(
         'type', 'application.rejected', 'effect', 'applied', 'did', '[]'::jsonb,
         'application_id', 'app_0' || lpad(to_hex(n), 25, '0'),
         'dedupe_key', encode(substring(noise.bytes FROM 1 + n % 28000 FOR 32), 'hex'))),
       now() - interval '2 years' * (1 - n::float / $1),
       now() - interval '2 years' * (1 - n::float / $1)
FROM generate_series(0, $1 - 1) AS n
JOIN owner ON owner.number = n % $4
CROSS JOIN noise
ORDER BY n
"""
_LOGGED = """
INSERT INTO pgq.pgqueuer_log (created, job_id, status, priority, entrypoint)
SELECT now() - interval '30 days' * (1 - n::float / $1), -n, 'successful', 0, 'delivery.read'
FROM generate_series(1, $1) AS n
"""
_PAGE = """
SELECT * FROM delivery WHERE company_id = '{company}'{connection}{cursor} ORDER BY id DESC LIMIT 51
"""


@dataclass(frozen=True)
class Page:
    """How PostgreSQL reads one page of the list: rows, blocks of 8 kB touched, index used."""

    rows: int
    blocks: int
    index: str
    milliseconds: float


async def fill(stage: Stage, count: int, company_id: str, connection_id: str) -> None:
    """Store deliveries, and the queue's record of their reading."""
    await stage.run(_FILL, count, company_id, connection_id, COMPANIES, EACH)
    await stage.run(_LOGGED, count)
    await stage.run("VACUUM (ANALYZE) delivery")
    await stage.run("VACUUM (ANALYZE) pgq.pgqueuer_log")
    await stage.run("CHECKPOINT")


async def page(stage: Stage, connection_id: str | None = None, *, after: str = "") -> Page:
    """EXPLAIN ANALYZE of a page of `GET /v1/company/ats/deliveries`, read twice, told once."""
    statement = _PAGE.format(
        company=stage.company_id,
        connection=f" AND connection_id = '{connection_id}'" if connection_id else "",
        cursor=f" AND id < '{after}'" if after else "",
    )
    for _ in range(2):
        (row,) = await stage.run(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    told: dict[str, Any] = json.loads(row[0])[0]
    top = told["Plan"]
    return Page(
        rows=int(top["Actual Rows"]),
        blocks=top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        index=_index(top),
        milliseconds=told["Execution Time"],
    )


def _index(plan: dict[str, Any]) -> str:
    if "Index Name" in plan:
        return str(plan["Index Name"])
    return next((_index(one) for one in plan.get("Plans", [])), plan["Node Type"])
