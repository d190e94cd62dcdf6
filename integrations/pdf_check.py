"""Look into a PDF from outside, in a process of its own: hostile bytes break nothing but it.

Reads the document from standard input and writes one word: `ok`, or why it is not taken.
`integrations.files` starts it with nothing of ours but this file (`python -I`), hence no imports of
the house.
"""

import io
import resource
import sys

_ELSEWHERE = {"/F", "/Ref"}
"""Keys of a stream whose content lies in another file."""
_BY_ITSELF = {"/OpenAction", "/AA"}
"""Keys of what is done without a click."""
_EVENTS = ["/E", "/X", "/D", "/U", "/Fo", "/Bl", "/PO", "/PC", "/PV", "/PI",
           "/O", "/C", "/K", "/F", "/V", "/WC", "/WS", "/DS", "/WP", "/DP"]  # fmt: skip
"""When an action is done by itself (ISO 32000-1, 12.6.3)."""
_MEGABYTES = 512
_SECONDS = 5
_PAGES = 60
_DEPTH = 60
"""How deep values are nested in each other; a page is described with less than ten."""
_REFUSED = (
    ("file_attached", {"/EF", "/EmbeddedFile", "/EmbeddedFiles"}, {"/EmbeddedFile", "/GoToE"}),
    (
        "file_active",
        {"/JS", "/JavaScript", "/XFA", "/RichMediaContent", "/OnInstantiate"},
        {"/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/Rendition", "/Movie", "/Sound"},
    ),
    # Opens another document, from anywhere the reader's machine can reach.
    ("file_linked", set[str](), {"/GoToR", "/URL"}),
)
"""Why, by the keys that say so, and by the kinds."""
_KINDS = ("/S", "/Type", "/FS")
"""Keys that name a kind: of an action, of an object, of the place where a file lies."""


def _bounded() -> None:
    """Take no more of the machine than a document needs, whatever the bytes say."""
    memory = _MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def found_in(content: bytes) -> str:
    """`ok`, or `file_` and `unreadable`, `protected`, `too_long`, `active`, `attached`, `linked`.

    Encrypted also means: with an empty password, which everyone can open and no scanner reads.
    """
    import pikepdf  # noqa: PLC0415 - only once the limits stand

    try:
        with pikepdf.open(io.BytesIO(content)) as document:
            if document.is_encrypted:
                return "file_protected"
            pages = len(document.pages)
            if not 1 <= pages <= _PAGES:
                return "file_too_long" if pages else "file_unreadable"
            for one in (document.trailer, *document.objects):
                if (code := _seen(one, 0)) is not None:
                    return code
            # Of a key that stands there twice every reader takes another.
            twice = any("duplicated key" in told for told in document.get_warnings())
    except pikepdf.PasswordError:
        return "file_protected"
    except (pikepdf.PdfError, pikepdf.ForeignObjectError, ValueError, TypeError, RuntimeError):
        return "file_unreadable"
    return "file_unreadable" if twice else "ok"


def _seen(value, depth: int) -> str | None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Why a value of the document is refused; what it only points to is looked at by itself."""
    import pikepdf  # noqa: PLC0415

    if depth > _DEPTH:
        return "file_unreadable"
    if isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
        keys = set(value.keys())
        if (code := _refused(value, keys)) is not None:
            return code
        inner = [value.get(key) for key in keys]
    elif isinstance(value, pikepdf.Array):
        inner = list(value)
    else:
        return None
    for one in inner:
        direct = isinstance(one, pikepdf.Object) and not one.is_indirect
        if direct and (why := _seen(one, depth + 1)) is not None:
            return why
    return None


def _refused(value, keys: set[str]) -> str | None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Why a dictionary is refused for what it says itself."""
    import pikepdf  # noqa: PLC0415

    named = {str(value.get(key)) for key in _KINDS if _is_name(value.get(key))}
    for code, by_key, by_kind in _REFUSED:
        if keys & by_key or named & by_kind:
            return code
    elsewhere = isinstance(value, pikepdf.Stream) and keys & _ELSEWHERE
    if elsewhere or any(_opens_page(value.get(key), 0) for key in keys & _BY_ITSELF):
        return "file_linked"
    return None


def _opens_page(value, depth: int) -> bool:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Whether an action, one of several, or one that follows it, opens a page of the web."""
    import pikepdf  # noqa: PLC0415

    if depth > _DEPTH:
        return True
    if isinstance(value, pikepdf.Array):
        return any(_opens_page(one, depth + 1) for one in value)
    if not isinstance(value, pikepdf.Dictionary):
        return False
    if value.get("/S") == pikepdf.Name.URI:
        return True
    # An action leads on by `/Next`; a list of actions by event has other keys, and no `/S`.
    inner = [value.get("/Next")] if "/S" in value else [value.get(key) for key in _EVENTS]
    return any(_opens_page(one, depth + 1) for one in inner)


def _is_name(value: object) -> bool:
    import pikepdf  # noqa: PLC0415

    return isinstance(value, pikepdf.Name)


if __name__ == "__main__":
    _bounded()
    sys.stdout.write(found_in(sys.stdin.buffer.read()))
