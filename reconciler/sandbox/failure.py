"""PVE's exceptions, with the status and message of the response."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """An error answer. `message` ends with a newline if PVE's does.

    As text it is the exception as Perl prints it: for a plain `die` its message, for one with a
    status also the status and the complaints about parameters. PVE includes such texts in other
    messages when something fails while a file is locked.
    """

    def __init__(
        self, message: str, status: int = 500, errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errors = dict(errors or {})

    def __str__(self) -> str:
        if self.status == 500:
            return self.message
        details = "".join(f"{name}: {self.errors[name]}\n" for name in sorted(self.errors))
        return f"{self.status} {self.message}{details}"


def died(text: str) -> ApiError:
    """`die "text\\n"`: 500."""
    return ApiError(f"{text}\n")


def bad_parameters(errors: Mapping[str, str]) -> ApiError:
    """`raise_param_exc`: 400, with a complaint for each parameter."""
    return ApiError("Parameter verification failed.\n", 400, errors)


def forbidden(what: str = "") -> ApiError:
    """`raise_perm_exc`: 403; `what` is usually `PATH, PRIVILEGE`."""
    return ApiError(
        f"Permission check failed ({what})\n" if what else "Permission check failed\n", 403
    )
