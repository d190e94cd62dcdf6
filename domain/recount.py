"""The ledger computed a second time, from its rows alone (ledger rules 9).

Nothing here trusts what was stored: the chain, the requests' fingerprints, every balance, every
credit's bucket and dates are made again from the moves and compared. A row comes as a line of text,
its fields parted by tabs, as the database's COPY writes it; a company's transactions come in the
order in which they were written. Memory follows the books and credits of one company.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from json import JSONDecoder
from json.scanner import make_scanner
from typing import Any

from domain.credits import CREDIT, FIRST_HASH, POINT, RULES, Bucket, Kind
from domain.errors import Invalid
from domain.posting import canon, flat, step
from domain.terms import guarantee_end, terms_of

FIELDS = ("guarantee_end_on", "available_on", "expires_on")
"""A credit's dates, in the order in which its row tells them."""
_UNITS = (CREDIT, POINT)
_NO_DATES, _NO_GRANTS = "1:0,", "1:0,"
_CHAIN_START = len("16:credit-ledger-v1,64:")
_HEX = 64
_ESCAPES_OF_A_LINE = 4  # the two hashes of a line begin with `\\x`
_SEVERAL = 1_000_000  # a line's shape: moves of the transaction, kind, unit, from, to
_TOLD = 5
_KNOWN = 100_000
_WITH_MICROSECONDS = len("2026-04-01 00:00:00.000000+00")
_BELOW_ZERO = frozenset({Bucket.ISSUED, Bucket.OWED, 9 + Bucket.ISSUED, 9 + Bucket.OWED})
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(JSONDecoder())  # type: ignore[arg-type]
"""`json.loads` without its look around: a row's JSON begins at once and ends with the field."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not agree. `seq` is the first transaction concerned, if it is one."""

    company_id: str
    book_id: str
    check: str
    seq: int | None = None
    detail: str = ""


@dataclass(slots=True)
class BookCount:
    """A book as its row tells it, and as its transactions add up so far.

    `seq` and `previous` are where the count begins: zero, or what a checkpoint holds.
    """

    id: str
    agency_id: str
    last_seq: int
    head: str
    seq: int = 0
    previous: str = FIRST_HASH.hex()
    quantity: list[int] = field(default_factory=lambda: [0] * 18)
    value: list[int] = field(default_factory=lambda: [0] * 18)
    begun: int = 0
    framed: str = ""
    instead: str = ""
    """What the last broken hash should have been: the next one may rest on it."""
    skipped: bool = False
    told: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Know where the count began, and the book's place in every canonical form."""
        self.begun, self.framed = self.seq, framed(self.id)


@dataclass(slots=True)
class CreditCount:
    """A credit as its row tells it (`kept_…`), and as its moves and date changes leave it."""

    id: str
    book_id: str
    grant_key: str
    grant: str
    """The canonical form of what it was granted with."""
    kept_bucket: str
    kept_frozen: str
    kept_dates: list[str]
    looked_after: bool
    state: str | None
    """The bucket its moves have brought it to; unknown when the count begins at a checkpoint."""
    frozen: str = ""
    dates: dict[str, str] = field(default_factory=dict)


def framed(*parts: object) -> str:
    """The canonical form as text."""
    return canon(*parts).decode()


def _frame(part: str) -> str:
    """One part, quickly where its letters are plain."""
    return f"{len(part)}:{part}," if part.isascii() else framed(part)


class _Frames(dict[str, str]):
    """`length:value,` of texts that come again and again."""

    def __missing__(self, part: str) -> str:
        made = framed(part)
        if len(self) < _KNOWN:
            self[part] = made
        return made


class _Keys(dict[str, str]):
    """The paths of a request's keys, framed."""

    def __missing__(self, key: str) -> str:
        made = framed(step(key))
        if len(self) < _KNOWN:
            self[key] = made
        return made


_KEYS = _Keys()


_CORRECTING = frozenset({Kind.CLAWBACK_SETTLED, Kind.ADJUSTED})
"""One move of these alone is a correction by hand, which wants a closer look."""


class _Shapes(dict[str, "tuple[Any, ...] | None"]):
    """What follows from a line's kind, unit and buckets; nothing where it is not the usual one.

    Usual is a single move of one credit by a rule. The parts stand in the order the loop takes.
    """

    def __missing__(self, shape: str) -> "tuple[Any, ...] | None":
        several, kind, unit, source, target = parts_of(shape)
        rule = _RULES.get((kind, unit, source, target))
        made = None
        if several == 0 and unit == CREDIT and rule is not None and kind not in _CORRECTING:
            made = (
                f"{framed(kind)}10:", framed(source, target, 1),
                framed("credit-request-v1", kind), source, target, str(source), str(target),
                rule.touches_state, rule.only_reason, source == Bucket.ISSUED,
            )  # fmt: skip
        self[shape] = made
        return made


_RULES: Mapping[tuple[int, int, int, int], Any] = {
    (int(rule.kind), rule.unit, int(rule.source), int(rule.target)): rule for rule in RULES
}


def parts_of(shape: str) -> tuple[int, int, int, int, int]:
    """Moves of the transaction (0: one), kind, unit (0: nothing moves), from, to."""
    several, rest = divmod(int(shape), _SEVERAL)
    return several, rest // 1000, rest // 100 % 10, rest // 10 % 10, rest % 10


@dataclass
class Recount:
    """One company's books, recounted as their rows pass by."""

    company_id: str
    books: dict[str, BookCount]
    """By book and agency, one id behind the other: a row with another agency is a stray."""
    partly: bool = False
    """The count begins at a checkpoint: what was before it is not known."""
    findings: list[Finding] = field(default_factory=list)
    transactions: int = 0
    moves: int = 0
    changes: int = 0
    _credits: dict[str, CreditCount] = field(default_factory=dict)
    _grants: dict[tuple[str, ...], str] = field(default_factory=dict)
    _frames: _Frames = field(default_factory=_Frames)
    _shapes: _Shapes = field(default_factory=_Shapes)
    _gathered: list[list[str]] = field(default_factory=list)
    _astray: Counter[str] = field(default_factory=Counter)

    def add_credits(self, text: str) -> None:
        """Credits, whole lines: before any transaction."""
        plain = "\\" not in text
        for line in text.split("\n")[:-1]:
            fields = line.split("\t") if plain else [_unescaped(one) for one in line.split("\t")]
            (credit_id, place, key, agreement, version, placement, relay, started, cap, value,
             bucket, frozen, guarantee, available, expires, looked, terms) = fields  # fmt: skip
            book = self.books.get(place)
            if book is None:
                self._stray(place, None, credit_id)
                continue
            facts = (agreement, version, placement, relay, started, cap, value)
            made = CreditCount(
                credit_id, book.id, key, "".join(map(_frame, facts)) + self._terms(terms), bucket,
                frozen, [guarantee, available, expires], looked == "t",
                None if self.partly else str(int(Bucket.ISSUED)),
            )  # fmt: skip
            if not self.partly:
                made.dates = self._first_dates(made, terms, started)
            self._credits[credit_id] = made

    def _terms(self, terms: str) -> str:
        made = self._grants.get((terms,))
        if made is None:
            parts = flat(_scan(terms, 0)[0])
            made = self._grants[terms,] = framed(len(parts), *parts)
        return made

    def _first_dates(self, credit: CreditCount, terms: str, started: str) -> dict[str, str]:
        """The dates of a fresh credit: its guarantee ends by its terms, the others come later."""
        ends = self._grants.get((terms, started))
        if ends is None:
            try:
                day = guarantee_end(terms_of(_scan(terms, 0)[0]), date.fromisoformat(started))
                ends = day.isoformat()
            except Invalid:
                self._note(credit.book_id, "grant", None, f"{credit.id}: terms")
                ends = ""
            self._grants[terms, started] = ends
        return {FIELDS[0]: ends, **dict.fromkeys(FIELDS[1:], "")}

    def add(self, text: str) -> None:  # noqa: C901, PLR0912, PLR0915
        """Transactions, whole lines, one for each move.

        The loop is written for speed: what is usual (one credit, one move, plain letters) is done
        in place, with every canonical form as one formatted text; the rest goes to `_slowly`.
        """
        lines = text.split("\n")[:-1]
        usual = text.isascii() and text.count("\\") == _ESCAPES_OF_A_LINE * len(lines)
        books, known, frames = self.books.get, self._credits.get, self._frames
        shapes, sha256, gathered = self._shapes, hashlib.sha256, self._gathered
        for line in lines:
            fields = line.split("\t")
            (tx, place, seq, day, at, key, fingerprint, actor, reason, stored, request, shape,
             credit_id, _, value, after_giver, after_taker, dates) = fields  # fmt: skip
            if gathered and gathered[0][0] != tx:
                self._settle()
            rule, book = shapes[shape], books(place)
            credit = known(credit_id)
            if not usual or rule is None or book is None or credit is None:
                self._slowly(fields)
                continue
            (kind, move, asked, giver, taker, source, target, touches, only, new) = rule
            number = book.seq + 1
            if seq != str(number):
                if not self._counts(book, int(seq), 1, dates):
                    continue
                number = int(seq)
            book.seq = number
            changed = changed_anew = _NO_DATES
            if dates:
                changed, changed_anew = self._date(book, dates.split(" "), credit_id if new else "")
            usual_at = len(at) == _WITH_MICROSECONDS
            moment = f"{at[:10]}T{at[11:26]}" if usual_at else _instant(at)
            why, name = frames[reason], f"{len(credit_id)}:{credit_id},"
            told = fingerprint[3:]
            form = (
                f"16:credit-ledger-v1,64:{book.previous},{book.framed}{len(seq)}:{seq},{kind}{day},"
                f"27:{moment}Z,{len(key)}:{key},64:{told},{frames[actor]}{why}"
                f"1:1,1:1,{name}{move}{frames[value]}{changed}"
            )
            made = sha256(form.encode()).hexdigest()
            if made == stored[3:]:
                book.previous = made
            else:
                self._broke(book, form, made, stored[3:])
            if new:
                form = (
                    f"{asked}{why}1:1,1:1,0:,{move}{changed_anew}1:1,{credit.grant}"
                    f"{_request(request)}"
                )
                if credit.grant_key != key:
                    self._told(book, "grant", credit_id)
            else:
                form = f"{asked}{why}1:1,1:1,{name}{move}{changed}1:0,{_request(request)}"
            if sha256(form.encode()).hexdigest() != told:
                self._told(book, "grant" if new else "request", "not what was asked for")
            quantity = book.quantity
            quantity[giver] -= 1
            quantity[taker] += 1
            if after_giver != str(quantity[giver]) or after_taker != str(quantity[taker]):
                self._told(book, "balance_after", credit_id)
            if quantity[giver] < 0 and giver not in _BELOW_ZERO:
                self._told(book, "sign", Bucket(giver).name.lower())
            if value != "0":
                book.value[giver] -= int(value)
                book.value[taker] += int(value)
            if only is not None and reason != only:
                self._told(book, "rule", f"needs the reason {only}")
            if touches:
                if credit.state != source and credit.state is not None:
                    self._told(book, "history", credit_id)
                credit.state = target
                if target == "4":
                    credit.frozen = source
            self.transactions += 1
            self.moves += 1

    def finish(
        self, balances: Iterable[Sequence[Any]], held: Mapping[str, int], late: Collection[str]
    ) -> None:
        """The rows that say how things stand now, against what was counted.

        `balances`: book and agency, unit, bucket, quantity, value. `held`: open reservations by
        credit. `late`: books that name another moment than their last transaction's.
        """
        if self._gathered:
            self._settle()
        for book in self.books.values():
            if book.last_seq != book.seq or book.head not in {book.previous, book.instead}:
                self._note(book.id, "head", book.last_seq, "the head is not the last transaction")
            elif book.id in late:
                self._note(book.id, "head", book.last_seq, "not the moment of its last transaction")
        self._compare(balances)
        for credit in self._credits.values():
            self._finish_credit(credit)
            if held.get(credit.id, 0) != _held(credit):
                self._note(credit.book_id, "reservation", None, credit.id)

    # What is not usual

    def _slowly(self, fields: list[str]) -> None:
        """Gather the lines of one transaction, then count it as a whole."""
        plain = [_unescaped(one) for one in fields]
        self._gathered.append(plain)
        several, *_ = parts_of(plain[11])
        if len(self._gathered) >= max(several, 1):
            self._settle()

    def _settle(self) -> None:
        lines, self._gathered[:] = list(self._gathered), []
        (_, place, seq, day, at, key, fingerprint, actor, reason, stored, request, shape,
         *_rest) = lines[0]  # fmt: skip
        book, number = self.books.get(place), int(seq)
        if book is None:
            self._stray(place, number, "a transaction of another agency's book")
            return
        moves = [line for line in lines if parts_of(line[11])[2]]
        if max(parts_of(shape)[0], 1) != len(lines):
            self._note(book.id, "zero_sum", number, "a move has lost a side or its place")
        if number != book.seq + 1 and not self._counts(book, number, len(moves), lines[0][17]):
            return
        book.seq, kind = number, parts_of(shape)[1]
        new = {
            line[12]: self._credits[line[12]]
            for line in moves
            if parts_of(line[11])[2:4] == (CREDIT, Bucket.ISSUED) and line[12] in self._credits
        }
        named = lines[0][17].split(" ") if lines[0][17] else []
        changed, changed_anew = self._date(book, named, *new) if named else (_NO_DATES, _NO_DATES)
        told, kept = fingerprint[2:], stored[2:]
        head = framed(
            "credit-ledger-v1", book.previous, book.id, number, kind, day, f"{_instant(at)}Z",
            key, told, actor, reason, len(moves),
        )  # fmt: skip
        form = head + "".join(_move(line, line[12]) + framed(line[14]) for line in moves) + changed
        made = hashlib.sha256(form.encode()).hexdigest()
        if made == kept:
            book.previous = made
        else:
            self._broke(book, form, made, kept)
        asked = (
            framed("credit-request-v1", kind, reason, len(moves))
            + "".join(_move(line, "" if line[12] in new else line[12]) for line in moves)
            + changed_anew + framed(len(new)) + "".join(one.grant for one in new.values())
            + _request(request)
        )  # fmt: skip
        if hashlib.sha256(asked.encode()).hexdigest() != told:
            self._told(book, "grant" if new else "request", "not what was asked for")
        if any(one.grant_key != key for one in new.values()):
            self._told(book, "grant", "another grant's credit")
        if kind == Kind.ADJUSTED or key.startswith("adjust:"):
            asked_by = _scan(request, 0)[0].get("requested_by")
            if asked_by in {None, actor}:
                self._told(book, "two_persons", "a correction by one person")
        for line in moves:
            self._move(book, line, kind, reason)
        self.transactions += 1
        self.moves += len(moves)

    def _move(self, book: BookCount, line: Sequence[str], kind: int, reason: str) -> None:
        _, _, unit, source, target = parts_of(line[11])
        credit_id, count, value = line[12], int(line[13]), int(line[14])
        giver, taker = source + 9 * (unit - 1), target + 9 * (unit - 1)
        quantity = book.quantity
        for place, change, after in ((giver, -1, line[15]), (taker, 1, line[16])):
            quantity[place] += change * count
            book.value[place] += change * value
            if after != str(quantity[place]):
                self._told(book, "balance_after", credit_id)
            if quantity[place] and (quantity[place] < 0) != (place in _BELOW_ZERO):
                self._told(book, "sign", Bucket(place % 9).name.lower())
        rule = _RULES.get((kind, unit, source, target))
        if (
            rule is None
            or rule.only_reason not in {None, reason}
            or (unit == CREDIT and count != 1)
        ):
            self._told(book, "rule", f"a move that {_kind(kind)} may not make")
        if unit != CREDIT:
            return
        credit = self._credits.get(credit_id)
        if credit is None:
            self._told(book, "credit_missing", credit_id)
        elif rule is None or rule.touches_state:
            if credit.state not in {None, str(source)}:
                self._told(book, "history", credit_id)
            credit.state = str(target)
            credit.frozen = str(source) if target == Bucket.FROZEN else credit.frozen

    def _date(self, book: BookCount, words: Sequence[str], *new: str) -> tuple[str, str]:
        """Dates that a transaction sets, as its hash and as its request name them.

        `words`: credit, field, old date (`-`: none), new date, and again.
        """
        count = _frame(str(len(words) // 4))
        kept, asked = [count], [count]
        for credit_id, name, old, day in zip(*(words[n::4] for n in range(4)), strict=False):
            self.changes += 1
            owner, date_set = _frame(credit_id), f"{self._frames[name]}{_frame(day)}"
            kept += owner, date_set
            asked += "0:," if credit_id in new else owner, date_set
            credit = self._credits.get(credit_id)
            if credit is None:
                self._told(book, "credit_missing", credit_id)
                continue
            if credit.dates.get(name, _day(old)) != _day(old):
                self._told(book, "date_change", credit_id)
            credit.dates[name] = day
        return "".join(kept), "".join(asked)

    def _counts(self, book: BookCount, seq: int, moves: int, dates: str) -> bool:
        """Whether to count a transaction whose number is not the next one."""
        if seq <= book.begun == book.seq:  # before the checkpoint the count begins at
            self.moves += moves
            self.changes += (dates.count(" ") + 1) // 4
            return False
        self._note(book.id, "sequence", min(book.seq + 1, seq), "a transaction is missing")
        book.skipped = True
        return True

    def _broke(self, book: BookCount, form: str, made: str, stored: str) -> None:
        """A hash that is not the stored one; not told when only what it rests on was changed."""
        behind = _CHAIN_START + _HEX
        anew = form[:_CHAIN_START] + book.instead + form[behind:]
        echo = book.instead and hashlib.sha256(anew.encode()).hexdigest() == stored
        if not echo and not book.skipped:
            self._told(book, "chain", "the transaction does not have its hash")
        book.previous, book.instead, book.skipped = stored, made, False

    # How things stand

    def _compare(self, balances: Iterable[Sequence[Any]]) -> None:
        left = set(product(self.books, _UNITS, Bucket))
        for place, unit, bucket, quantity, value in balances:
            book = self.books.get(place)
            if book is None:
                self._stray(place, None, "a balance of another agency's book")
                continue
            left.discard((place, unit, bucket))
            at = bucket + 9 * (unit - 1)
            agrees = quantity == book.quantity[at] and (self.partly or value == book.value[at])
            if not agrees:
                self._note(book.id, "balance", None, Bucket(bucket).name.lower())
        for place, _, bucket in sorted(left):
            self._note(self.books[place].id, "balance", None, Bucket(bucket).name.lower())

    def _finish_credit(self, credit: CreditCount) -> None:
        if credit.state is not None and credit.state != credit.kept_bucket:
            self._note(credit.book_id, "credit_bucket", None, credit.id)
        elif credit.state is not None:
            frozen = credit.frozen if credit.state == str(int(Bucket.FROZEN)) else ""
            if credit.kept_frozen != frozen and (frozen or not self.partly):
                self._note(credit.book_id, "credit_frozen", None, credit.id)
        kept = dict(zip(FIELDS, credit.kept_dates, strict=True))
        if any(kept.get(name) != day for name, day in credit.dates.items()):
            self._note(credit.book_id, "credit_dates", None, credit.id)
        if not credit.looked_after:
            self._note(credit.book_id, "credit_look", None, credit.id)

    def _stray(self, place: str, seq: int | None, detail: str) -> None:
        """A row without its book: a few tell enough."""
        self._astray[place] += 1
        if self._astray[place] <= _TOLD:
            self._note(place[:30], "stray", seq, detail)

    def _told(self, book: BookCount, check: str, detail: str) -> None:
        """A few findings of a kind tell enough about a book."""
        book.told[check] += 1
        if book.told[check] <= _TOLD:
            self._note(book.id, check, book.seq, detail)

    def _note(self, book_id: str, check: str, seq: int | None, detail: str) -> None:
        self.findings.append(Finding(self.company_id, book_id, check, seq, detail))


def _held(credit: CreditCount) -> int:
    """How many open reservations a credit must have."""
    reserved = str(int(Bucket.RESERVED))
    frozen = credit.kept_bucket == str(int(Bucket.FROZEN)) and credit.kept_frozen == reserved
    return int(credit.kept_bucket == reserved or frozen)


def _move(line: Sequence[str], credit_id: str) -> str:
    """A move's canonical form without its reference value."""
    _, _, unit, source, target = parts_of(line[11])
    return framed(unit, credit_id, source, target, line[13])


def _instant(at: str) -> str:
    """A moment as the database writes it in UTC, as the canonical form has it, without its `Z`."""
    whole, _, part = at[:-3].partition(".")
    return f"{whole[:10]}T{whole[11:]}.{part:0<6}"


def _day(told: str) -> str:
    return "" if told == "-" else told


def _request(request: str) -> str:
    """The canonical form of a request, from its JSON."""
    if request == "{}":
        return ""
    made = []
    for key, value in sorted(_scan(request, 0)[0].items()):
        kind = value.__class__
        if kind is str and value.isascii():
            made.append(f"{_KEYS[key]}{len(value)}:{value},")
        elif kind is int:
            made.append(f"{_KEYS[key]}{len(str(value))}:{value},")
        else:
            made.append(framed(*flat(value, step(key))))
    return "".join(made)


def _kind(number: int) -> str:
    return Kind(number).name.lower() if number in set(Kind) else str(number)


def _unescaped(told: str) -> str:
    """A field of COPY's text as it was."""
    if "\\" not in told:
        return told
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), told)
