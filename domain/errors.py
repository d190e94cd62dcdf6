"""Refusals: business errors with a code that never changes. `api/errors.py` gives them a status."""


class Refusal(Exception):  # noqa: N818 - the house calls an expected "no" a refusal
    """A request we understand and turn down: a stable `code`, a `detail` without personal data."""

    code = "refused"

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail or code or self.code)
        if code is not None:
            self.code = code
        self.detail = detail


class NotFound(Refusal):
    """The row does not exist for this caller: absent and foreign rows look the same."""

    code = "not_found"


class Conflict(Refusal):
    """The row's state does not allow this step."""

    code = "conflict"


class StepNotAllowed(Conflict):
    """A state machine has no such transition."""

    code = "step_not_allowed"

    def __init__(self, state: str, step: str) -> None:
        super().__init__(f"{step} is not possible in state {state}")


class Invalid(Refusal):
    """A value of the right shape that the business cannot accept."""

    code = "invalid"


class Forbidden(Refusal):
    """The caller is known but may not do this."""

    code = "forbidden"


class Gone(Refusal):
    """It was there and must not be handed out any more."""

    code = "gone"


class Halted(Refusal):
    """A book whose check failed: it is read, and not written, until somebody has looked."""

    code = "book_halted"


class TryLater(Refusal):
    """Somebody else holds what is needed; asking again soon helps."""

    code = "try_later"
