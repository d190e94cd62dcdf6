"""What the domain needs from outside, in its own words. `integrations/` fulfils it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol


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

    def blind(self, kind: str, value: str, *, key: bytes | None = None) -> bytes:
        """A keyed hash to find a value again without storing it.

        `key`: a wrapped data key instead of the instance's pepper.
        """
        ...


class Signer(Protocol):
    """Signs what the counterparties keep (statements, checkpoints) with the ledger's Ed25519 key.

    Public keys, also those no longer in use, stand at `/.well-known/ledger-keys.json`.
    """

    key_id: str
    """Names the public key: the first 16 hex digits of its SHA-256."""

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature (RFC 8032)."""
        ...

    def sign_document(self, payload: bytes, *, kind: str) -> str:
        """A detached JWS (RFC 7515 F, `EdDSA`) of a document; `kind` becomes its `typ`."""
        ...

    def sign_compact(self, payload: bytes, *, kind: str) -> str:
        """The same with the document inside: one text that stands alone."""
        ...


class Scanner(Protocol):
    """Looks for malware in a file, outside of us. Which one is used is the operator's choice."""

    name: str

    async def scan(self, content: bytes) -> Literal["clean", "infected", "failed"]:
        """The verdict; `failed` when there is none, so that it is asked again."""
        ...


class FileReader(Protocol):
    """Tells what a document is by what is in it, never by its name or declared type."""

    async def check(self, content: bytes) -> Literal["pdf", "docx"]:
        """The kind of a document that is taken; raises `Invalid` with a code (`file_…`)."""
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
    """A raw delivery as an adapter sees it: header names in lower case, the body's exact bytes.

    What was found by asking the vendor's API comes as one too, with an empty body and no headers.
    """

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    path: str = ""
    query: str = ""


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


@dataclass(frozen=True)
class Greeting:
    """The answer to a request that only sets a webhook up: nothing is kept of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Lookup(Masked):
    """What must be read from the vendor's API before anything may be said.

    `about` says what to read, in the words of the vendor's own `AtsApi.look_up` (JSON, ids only).
    `needed`: without an API credential the delivery waits for one; otherwise it means nothing then.
    """

    about: Mapping[str, Any]
    needed: bool = True


@dataclass(frozen=True, repr=False)
class Aside(Masked):
    """What a vendor says without a canonical event of its own.

    `unhired` names an application whose hire was taken back, `interview_off` an interview that was
    called off or removed (by the vendor's id of it; `of_application` where the vendor says whose).
    """

    kind: Literal["unhired", "interview_off"]
    external_id: str
    of_application: str | None = None


@dataclass(frozen=True, repr=False)
class Reading(Masked):
    """What an adapter understood: the vendor's event name and the canonical events in it.

    `as_of` is the vendor's time of the statement (which of two statements about the same effect
    is newer). `lookup` instead of events: the delivery names something that must be read first.

    `states`: the vendor says how things stand, not that something has just changed, so that a hire
    or an application that goes on is news only where we hold something else. `undated`: it gives
    no time of the end itself, so that an end too is news only where we hold something else.
    """

    provider_event: str | None
    events: Sequence[dict[str, Any]] = ()
    as_of: datetime | None = None
    asides: Sequence[Aside] = ()
    lookup: Lookup | None = None
    states: bool = False
    undated: bool = False
    unmapped: Sequence["Word"] = ()
    """The vendor's words in it that have no meaning of ours yet."""
    said_at: Mapping[str, datetime] = field(default_factory=dict)
    """By dedupe key, where the statements of one delivery were made at different times."""


class AtsAdapter(Protocol):
    """What one vendor sends us by webhook. A module with these names satisfies it."""

    PROVIDER: str
    SUCCESS: int
    """The status the vendor takes for "received"."""
    BAD_SIGNATURE: int
    HEADERS: Sequence[str]
    """The headers `delivery_id` and `read` need, in lower case: kept with the body."""
    ONE_BODY_PER_ID: bool
    """The vendor's id is signed and the body is not: another body under the same id is suspicious.
    """
    ID_IN_BODY: bool
    """The id stands in the body, whose bytes tell a repetition already: the door need not look."""

    def greet(self, incoming: Incoming, connection: ConnectionView) -> Greeting | None:
        """The answer to a handshake, or to a test sent before there is a secret; else null.

        Asked before `verify`, so it may trust nothing and must change nothing.
        """
        ...

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


# ---- the vendors' APIs ----------------------------------------------------------------------


class VendorDown(Exception):  # noqa: N818
    """The vendor's API did not answer as it should (429, 5xx, network): to be asked again."""

    def __init__(self, code: str = "api_unavailable", retry_after: timedelta | None = None) -> None:
        super().__init__(code)
        self.code, self.retry_after = code, retry_after


class VendorRefused(Exception):  # noqa: N818
    """The vendor's API refuses us (credential, permission, request): a person must change that."""

    def __init__(self, code: str = "api_refused", status: int = 0) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class VendorMissing(Exception):  # noqa: N818
    """The vendor's API does not know what we asked for (404, 410)."""


@dataclass(frozen=True, repr=False)
class Answer(Masked):
    """A vendor's answer: its JSON and its headers, in lower case. `next` is `Link: rel=next`."""

    data: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    next: str | None = None


class VendorApi(Protocol):
    """Calls to one vendor's API for one connection: paced, guarded, JSON in and out.

    Every method raises `VendorDown`, `VendorRefused` or `VendorMissing`.
    """

    headers: dict[str, str]
    """Sent with every call; `sign_in` fills them."""

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Read `path` below the API's base; a full URL must lead to the same host."""
        ...

    async def get_or_none(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON there, or nothing where the vendor knows nothing of it."""
        ...

    async def get_extra(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The same for what an event can do without: nothing, too, where we may not read it."""
        ...

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any other call."""
        ...


@dataclass(frozen=True)
class Window:
    """What a poll looks at: changes since `since`; `full` is the nightly look at thirty days."""

    since: datetime
    until: datetime
    full: bool = False


@dataclass(frozen=True, repr=False)
class Page(Masked):
    """One step of a poll: facts for `understand`, and where to go on; null: that was all."""

    facts: Sequence[dict[str, Any]]
    cursor: dict[str, Any] | None = None


@dataclass(frozen=True)
class Word:
    """One of the vendor's own words that needs a meaning of ours.

    `suggestion` is what a person is offered to confirm; it never decides by itself.
    """

    kind: Literal["reason", "status"]
    id: str
    text: str
    suggestion: str | None = None


@dataclass(frozen=True)
class WriteBack:
    """A note and a tag for the vendor's record. Never personal data beyond what it has there."""

    application_external_id: str
    candidate_external_id: str | None
    note: str
    tag: str


class AtsApi(Protocol):
    """What we can ask one vendor. A module with these names satisfies it."""

    PROVIDER: str
    API_BASE: str
    """Host and first part of the path; `settings.api_base` replaces it."""
    PER_SECOND: float
    """Calls the vendor allows in a second."""
    POLL_EVERY: timedelta
    WRITES_BACK: bool

    async def sign_in(self, api: VendorApi, connection: ConnectionView) -> None:
        """Fill `api.headers` from `settings.api_key` (and whatever else the vendor asks for)."""
        ...

    async def look_up(
        self, api: VendorApi, connection: ConnectionView, about: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Read what a `Lookup` names: facts (JSON) for `understand`."""
        ...

    async def page(
        self,
        api: VendorApi,
        connection: ConnectionView,
        window: Window,
        cursor: dict[str, Any] | None,
    ) -> Page:
        """One step of a poll: what ended, and what is known of interviews, in the window."""
        ...

    def understand(
        self,
        facts: Mapping[str, Any],
        incoming: Incoming,
        connection: ConnectionView,
        provider_event: str,
    ) -> Reading:
        """Translate facts into canonical events, on the same dedupe keys as webhooks. Pure.

        Raises `Unreadable`.
        """
        ...

    async def words(self, api: VendorApi, connection: ConnectionView) -> list[Word]:
        """The vendor's list of reasons or statuses, for the tenant's map."""
        ...

    async def write_back(self, api: VendorApi, connection: ConnectionView, told: WriteBack) -> None:
        """Leave a note and a tag with the vendor."""
        ...


@dataclass(frozen=True)
class Tools:
    """Everything a flow may need besides its session and `now`."""

    sealer: Sealer
    signer: Signer
    holidays: Holidays
    texts: Texts
    adapters: Mapping[str, AtsAdapter]
    apis: Mapping[str, AtsApi]
    files: FileReader
    public_url: str
    scanner: Scanner | None = None
    """Null: files are handed over unscanned, and say so."""
    keep_mail: bool = False
    """The demo keeps mail bodies for its mailbox; everyone else empties them after sending."""
