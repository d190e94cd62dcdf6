"""Numbers for operators, in Prometheus' form. Labels are route templates, never paths."""

from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api import timers
from api.runtime import Runtime
from domain.access import as_system
from domain.business_days import local_day
from domain.erasure import KEYS, RULES
from domain.views.ledger_health import ledger_health
from domain.views.privacy import privacy_health

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "relay_http_requests_total", "Requests answered", ["method", "route", "status"],
    registry=REGISTRY,
)  # fmt: skip
SECONDS = Histogram(
    "relay_http_request_seconds", "Time until the answer's first byte", ["method", "route"],
    registry=REGISTRY,
)  # fmt: skip
JOBS = Gauge(
    "relay_jobs", "Jobs in the queue by name and status", ["job", "status"], registry=REGISTRY
)
TIMERS_DUE = Gauge(
    "relay_timers_due", "Rows due and not yet acted on", ["timer"], registry=REGISTRY
)

LEDGER_MISMATCHES = Gauge(
    "relay_ledger_mismatch_total", "What verifications of the ledger found so far",
    registry=REGISTRY,
)  # fmt: skip
LEDGER_VERIFIED = Gauge(
    "relay_ledger_verified_through", "When the last verification without a finding began (unix)",
    registry=REGISTRY,
)  # fmt: skip
LEDGER_UNRESOLVED = Gauge(
    "relay_ledger_unresolved_age_days", "Age of the oldest credit that stands too long", ["bucket"],
    registry=REGISTRY,
)  # fmt: skip

PROVISIONS_UNCOVERED = Gauge(
    "relay_provisions_without_valid_consent", "What the last nightly checks found; must be 0",
    registry=REGISTRY,
)  # fmt: skip
PRIVACY_OPEN = Gauge(
    "relay_privacy_open", "What waits: requests of people, incidents to report", ["kind"],
    registry=REGISTRY,
)  # fmt: skip
PRIVACY_LATE = Gauge(
    "relay_privacy_late", "Of it, what is late; checks and looks at people's time that did not run",
    ["kind"], registry=REGISTRY,
)  # fmt: skip

AUDIT_BROKEN = Gauge(
    "relay_audit_chains_broken", "People whose chain of consent evidence does not fit; must be 0",
    registry=REGISTRY,
)  # fmt: skip
AUDIT_OK = Gauge(
    "relay_audit_chain_ok_at", "Since when every company's chains are known to be whole (unix)",
    registry=REGISTRY,
)  # fmt: skip
ERASURES = Gauge(
    "relay_erasures_last_day", "Keys of people destroyed in the last 24 hours", ["key", "rule"],
    registry=REGISTRY,
)  # fmt: skip
LICENCES_ENDING = Gauge(
    "relay_licence_expiring_90d", "Agencies whose licence ends within 90 days, or has ended",
    registry=REGISTRY,
)  # fmt: skip
REQUESTS_OLDEST = Gauge(
    "relay_rights_requests_oldest_days", "Age of the oldest request that waits for an answer",
    registry=REGISTRY,
)  # fmt: skip


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(method, route).observe(seconds)


async def render(runtime: Runtime) -> bytes:
    """The process's counters, and the database's backlog as it stands now."""
    await _look(runtime)
    return generate_latest(REGISTRY)


async def _look(runtime: Runtime) -> None:
    async with runtime.database.transaction() as session:
        rows = await session.execute(
            text("SELECT entrypoint, status::text, count(*) FROM pgq.pgqueuer GROUP BY 1, 2")
        )
        health = await ledger_health(session)
        LEDGER_MISMATCHES.set(health.mismatches)
        if health.verified_through is not None:
            LEDGER_VERIFIED.set(health.verified_through.timestamp())
        for bucket, days in health.unresolved_days.items():
            LEDGER_UNRESOLVED.labels(bucket).set(days)
        await _privacy(session, runtime)
        JOBS.clear()
        for name, status, count in rows:
            JOBS.labels(name, status).set(count)
        async with as_system(session):
            for one in timers.TIMERS:
                due = await session.execute(text(one.due_sql), {"now": runtime.clock()})
                TIMERS_DUE.labels(one.name).set(len(due.all()))


async def _privacy(session: AsyncSession, runtime: Runtime) -> None:
    now = runtime.clock()
    health = await privacy_health(session, now, local_day(now))
    PROVISIONS_UNCOVERED.set(health.uncovered)
    PRIVACY_OPEN.labels("rights_requests").set(health.requests)
    PRIVACY_OPEN.labels("incidents").set(health.incidents)
    PRIVACY_LATE.labels("rights_requests").set(health.requests_late)
    PRIVACY_LATE.labels("incidents").set(health.incidents_late)
    PRIVACY_LATE.labels("checks").set(health.checks_late)
    PRIVACY_LATE.labels("erasures").set(health.erasures_late)
    AUDIT_BROKEN.set(health.chains_broken)
    if health.chains_ok_at is not None:
        AUDIT_OK.set(health.chains_ok_at.timestamp())
    LICENCES_ENDING.set(health.licences_ending)
    for key, rule in product(KEYS, RULES):
        ERASURES.labels(key, rule).set(health.erased.get((key, rule), 0))
    REQUESTS_OLDEST.set(health.oldest_days)
