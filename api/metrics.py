"""Numbers for operators, in Prometheus' form. Labels are route templates, never paths."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text

from api import timers
from api.runtime import Runtime
from domain.access import as_system
from domain.views.ledger_health import ledger_health

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
        JOBS.clear()
        for name, status, count in rows:
            JOBS.labels(name, status).set(count)
        async with as_system(session):
            for one in timers.TIMERS:
                due = await session.execute(text(one.due_sql), {"now": runtime.clock()})
                TIMERS_DUE.labels(one.name).set(len(due.all()))
