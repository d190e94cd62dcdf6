"""Months of the ledger: closed on the fifth of the next one, ten past midnight in Japan."""

from api.timers import timer
from domain.flows.earn.close_month import close_month

# A halted book waits: it would stand in front of the others, and of the demo's clock, for ever.
timer("book.close_at", table="book", column="close_at", where="NOT halted", act=close_month)
