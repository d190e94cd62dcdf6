"""What the domain needs from outside, in its own words. `integrations/` fulfils it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol


class Masked:
    """Prints as its kind alone: what it holds is somebody's, and logs outlive everything."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(•••)"


class Sealer(Protocol):
    """Seals and opens with the instance key ring, or with a data key the ring has wrapped.

    `about` is bound to the sealed bytes: a value copied into another place does not open there.
    """

    newest: str
    """The name of the ring key new values are sealed with; it stands in front of the bytes."""

    def seal(self, plain: bytes, *, about: str, key: bytes | None = None) -> bytes:
        """Seal under the ring, or under the wrapped data key given."""
        ...

    def open(self, sealed: bytes, *, about: str, key: bytes | None = None) -> bytes:
        """Open what `seal` made; raises `ValueError` for anything else."""
        ...

    def new_key(self, *, about: str) -> bytes:
        """A fresh 256-bit data key, wrapped by the newest key of the ring."""
        ...

    def rewrap(self, sealed: bytes, *, about: str) -> bytes | None:
        """The same content under the newest key of the ring; null when it already is."""
        ...

    def blind(self, kind: str, value: str) -> bytes:
        """A keyed hash to find a value again without storing it."""
        ...


class Holidays(Protocol):
    """National holidays of the company's country."""

    def is_holiday(self, day: date) -> bool:
        """Whether the day is a public holiday."""
        ...

    def is_provisional(self, day: date) -> bool:
        """Whether the official list for that year is not out yet."""
        ...


@dataclass(frozen=True, repr=False)
class Rendered(Masked):
    """A mail's words: one subject line, a text that stands alone, and the same as small HTML."""

    subject: str
    text: str
    html: str


class Texts(Protocol):
    """Renders a named template in a language; a missing value is an error, never a blank."""

    def mail(self, template: str, locale: str, values: Mapping[str, Any]) -> Rendered:
        """Render one of the shipped mails (`integrations/mail/templates`)."""
        ...


@dataclass(frozen=True, repr=False)
class Letter(Masked):
    """One mail to one address, ready to go. `id` makes the Message-ID: a repetition is visible."""

    id: str
    to: str
    from_name: str
    subject: str
    text: str
    html: str
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


class Undeliverable(Exception):  # noqa: N818
    """A mail server said no. `permanent`: asking again does not help; the address is at fault."""

    def __init__(self, reason: str, *, code: int = 0, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.code, self.permanent = reason, code, permanent


class Mailer(Protocol):
    """Hands mails to a mail server."""

    async def send(self, letter: Letter) -> None:
        """Return when the server has taken responsibility; raises `Undeliverable` otherwise."""
        ...


@dataclass(frozen=True, repr=False)
class Incoming(Masked):
    """A raw delivery as an adapter sees it: header names in lower case, the body's exact bytes."""

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True, repr=False)
class ConnectionView(Masked):
    """What an adapter may know of a connection."""

    id: str
    secrets: Sequence[str] = ()
    secrets_by_event: Mapping[str, str] = field(default_factory=dict)
    public_keys: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


class Unreadable(Exception):  # noqa: N818
    """A verified delivery the adapter cannot understand: kept, marked failed, replayable."""


@dataclass(frozen=True, repr=False)
class Reading(Masked):
    """What an adapter understood: the vendor's event name and the canonical events in it.

    `as_of` is the vendor's time of the statement (which of two statements about the same effect
    is newer). `unhired` names an application whose hire was taken back: it has no canonical event.
    """

    provider_event: str | None
    events: Sequence[dict[str, Any]] = ()
    as_of: datetime | None = None
    unhired: str | None = None


class AtsAdapter(Protocol):
    """One vendor. A module with these names satisfies it."""

    PROVIDER: str
    SUCCESS: int
    """The status the vendor takes for "received"."""
    BAD_SIGNATURE: int
    HEADERS: Sequence[str]
    """The headers `delivery_id` and `read` need, in lower case: kept with the body."""

    def verify(self, incoming: Incoming, connection: ConnectionView) -> bool:
        """Whether the raw bytes carry a valid signature by any of the connection's secrets."""
        ...

    def unusable(self, secrets: Sequence[str], public_keys: Sequence[str]) -> str | None:
        """What is wrong with keys somebody wants to configure; null when they can be used."""
        ...

    def delivery_id(self, incoming: Incoming) -> str | None:
        """The vendor's own id of this delivery, if it sends one."""
        ...

    def read(self, incoming: Incoming, connection: ConnectionView) -> Reading:
        """Translate into canonical events (`dedupe_key` included). Raises `Unreadable`."""
        ...


@dataclass(frozen=True)
class Tools:
    """Everything a flow may need besides its session and `now`."""

    sealer: Sealer
    holidays: Holidays
    texts: Texts
    adapters: Mapping[str, AtsAdapter]
    public_url: str
    keep_mail: bool = False
    """The demo keeps mail bodies for its mailbox; everyone else empties them after sending."""
