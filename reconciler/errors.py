"""All errors of pvectl: a stable code, an exit status, what happened and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from reconciler.model.finding import Finding


class ExitStatus(IntEnum):
    """The exit status of a run of pvectl. Never a count."""

    OK = 0
    BUG = 1
    CHANGES = 2
    FILES_INVALID = 3
    REFUSED = 4
    STALE = 5
    LOCKED = 6
    UNREACHABLE = 7
    BLIND = 8
    RESTORED = 9
    NOT_RESTORED = 10
    UNFINISHED = 11
    NOT_SAVED = 12
    PARTLY_SAVED = 13
    SECRETS = 14
    NOT_PROVEN = 15
    USAGE = 64
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE: Sequence[ExitStatus] = (
    ExitStatus.USAGE,
    ExitStatus.FILES_INVALID,
    ExitStatus.UNREACHABLE,
    ExitStatus.BLIND,
    ExitStatus.UNFINISHED,
    ExitStatus.NOT_SAVED,
    ExitStatus.PARTLY_SAVED,
    ExitStatus.NOT_PROVEN,
    ExitStatus.SECRETS,
    ExitStatus.LOCKED,
    ExitStatus.STALE,
    ExitStatus.REFUSED,
    ExitStatus.NOT_RESTORED,
    ExitStatus.RESTORED,
    ExitStatus.CHANGES,
    ExitStatus.OK,
)
"""Where several apply, the first of these is given."""


MEANINGS: Mapping[ExitStatus, str] = {
    ExitStatus.OK: "done what was asked",
    ExitStatus.BUG: "a bug in pvectl",
    ExitStatus.CHANGES: "changes present (`plan --detailed-exitcode`), drift (`drift`), "
    "unformatted (`fmt --check`), a stale backup (`backup status`)",
    ExitStatus.FILES_INVALID: "files invalid",
    ExitStatus.REFUSED: "refused by policy: limits, protected, lockout, a failed expectation",
    ExitStatus.STALE: "stale or foreign plan",
    ExitStatus.LOCKED: "locked by another run",
    ExitStatus.UNREACHABLE: "API unreachable, authentication refused, certificate or "
    "target not trusted",
    ExitStatus.BLIND: "the token cannot see enough to decide",
    ExitStatus.RESTORED: "apply failed; everything restored and verified",
    ExitStatus.NOT_RESTORED: "apply failed, or was stopped at once by a second signal; restore "
    "incomplete or not verified: manual intervention is needed; `pvectl status` shows what is left",
    ExitStatus.UNFINISHED: "an unfinished journal exists: resume or roll back first",
    ExitStatus.NOT_SAVED: "`backup run` backed up nothing",
    ExitStatus.PARTLY_SAVED: "`backup run` backed up only some of the guests",
    ExitStatus.SECRETS: "a secret is missing, pvectl's own among them, or Proxmox VE would refuse "
    "it; nothing was sent",
    ExitStatus.NOT_PROVEN: "`drill`: an archive could not be restored, started or checked; "
    "everything was removed again",
    ExitStatus.USAGE: "wrong usage",
    ExitStatus.HUNG_UP: "hung up (HUP): as before or as declared, verified",
    ExitStatus.INTERRUPTED: "interrupted (INT): as before or as declared, verified",
    ExitStatus.TERMINATED: "interrupted (TERM): as before or as declared, verified",
}
"""What people read about each of them."""


class PvectlError(Exception):
    """The base of all errors: `summary` says what happened, `hint` what to do next."""

    code: ClassVar[str] = "E_BUG"
    exit_status: ClassVar[ExitStatus] = ExitStatus.BUG

    def __init__(self, summary: str, *, hint: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint
        self.findings = tuple(findings)
        self.step = ""
        """the step of a plan that it stopped, in words; "" where it was none"""


class Bug(PvectlError):
    """A bug in pvectl, reported by its place in the code and without values, which may be secrets.
    During a run, everything is rolled back and verified first, as for a refusal (exit 9 or 10).
    """

    @classmethod
    def of(cls, error: BaseException) -> Bug:
        """The innermost three places of an exception."""
        import traceback

        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{frame.name} line {frame.lineno}" for frame in reversed(frames))
        return cls(
            f"{type(error).__name__} in {places}",
            hint="This is a bug in pvectl; please report it with this line and what you did.",
        )


class UsageError(PvectlError):
    """The command line names something that does not exist, or combines options that exclude each
    other.
    """

    code = "E_USAGE"
    exit_status = ExitStatus.USAGE


class FilesInvalid(PvectlError):
    """The state folder has mistakes; `findings` holds all of them."""

    code = "E_FILES"
    exit_status = ExitStatus.FILES_INVALID


class Refused(PvectlError):
    """A policy forbids the plan: limits, protected objects, lockout, a failed expectation."""

    code = "E_REFUSED"
    exit_status = ExitStatus.REFUSED


class CycleError(Refused):
    """The changes cannot be ordered; the summary names the edges of the cycle."""

    code = "E_CYCLE"


class StalePlan(PvectlError):
    """A saved plan does not fit: another cluster, actor, format or digest, expired, or objects that
    have changed since.
    """

    code = "E_STALE"
    exit_status = ExitStatus.STALE


class NotSigned(PvectlError):
    """A saved plan without a valid signature: unsigned, signed for another file, or by an unknown
    key.
    """

    code = "E_NOT_SIGNED"
    exit_status = ExitStatus.REFUSED


class Locked(PvectlError):
    """Another run is writing to this cluster. `passes`: waiting may help."""

    code = "E_LOCKED"
    exit_status = ExitStatus.LOCKED
    passes = True


class Unreachable(PvectlError):
    """No answer, a certificate that is not trusted, or a proxy in the way."""

    code = "E_UNREACHABLE"
    exit_status = ExitStatus.UNREACHABLE


class AuthenticationFailed(Unreachable):
    """The server refused the token, ticket or password (401)."""

    code = "E_AUTH"


class UnexpectedAnswer(Unreachable):
    """An answer that Proxmox VE would not send: the summary names the request and the place in
    it.
    """

    code = "E_ANSWER"


class CertificateNotTrusted(Unreachable):
    """The server's certificate is not the expected one; nothing was sent."""

    code = "E_CERTIFICATE"


class UntrustedTarget(Unreachable):
    """Only the state folder names the target of a secret, or the secret itself: neither the
    environment nor the file of --settings does, and it was not confirmed on this machine. Nothing
    was sent, and no secret was read.
    """

    code = "E_UNTRUSTED_TARGET"


class Blind(PvectlError):
    """The token cannot see enough to decide; the hint holds the `pveum` lines that grant it."""

    code = "E_BLIND"
    exit_status = ExitStatus.BLIND


class WriteForbidden(PvectlError):
    """Something tried to write while planning: a bug, stopped by the client itself."""

    code = "E_READ_ONLY"


class RequestRefused(PvectlError):
    """Proxmox VE answered with an error: `status` and `reason` as sent, `errors` per field.

    `forbidden` tells whether a privilege is missing, even where PVE wraps the 403 into a 500.
    """

    code = "E_REQUEST"
    exit_status = ExitStatus.RESTORED

    def __init__(
        self, status: int, reason: str, errors: dict[str, str] | None = None, *, hint: str = ""
    ) -> None:
        detail = "".join(f"; {k}: {v.strip()}" for k, v in sorted((errors or {}).items()))
        super().__init__(f"Proxmox VE answered {status} {reason}{detail}", hint=hint)
        self.asked = ""
        """what was asked and where, for people; "" where that is not known"""
        self.status = status
        self.reason = reason
        self.errors = dict(errors or {})

    @property
    def forbidden(self) -> bool:
        return self.status == 403 or "403 Permission check failed" in self.reason

    @property
    def lock_timeout(self) -> bool:
        """One of PVE's two lock messages: the request may be sent again, after re-reading."""
        return "got lock request timeout" in self.reason or "no quorum" in self.reason

    @property
    def overtaken(self) -> bool:
        """The file changed after its digest was read, possibly by PVE itself: read it again."""
        return "detected modified configuration" in self.reason


class UnknownOutcome(PvectlError):
    """A write was sent and its outcome is unknown: time-out, reset, 595 to 599."""

    code = "E_UNKNOWN_OUTCOME"
    exit_status = ExitStatus.NOT_RESTORED


class Conflict(PvectlError):
    """A live object is neither as before nor as declared: it was changed concurrently."""

    code = "E_CONFLICT"
    exit_status = ExitStatus.RESTORED


class ApplyRestored(PvectlError):
    """Apply failed; everything was restored and verified."""

    code = "E_RESTORED"
    exit_status = ExitStatus.RESTORED


class ApplyNotRestored(PvectlError):
    """Apply failed and the restore is incomplete or unverified: manual intervention is needed."""

    code = "E_NOT_RESTORED"
    exit_status = ExitStatus.NOT_RESTORED


class Interrupted(PvectlError):
    """A signal asked to stop."""

    code = "E_INTERRUPTED"
    exit_status = ExitStatus.INTERRUPTED


class JournalUnfinished(PvectlError):
    """A previous run is unfinished; run `pvectl resume` or `pvectl rollback` first."""

    code = "E_UNFINISHED"
    exit_status = ExitStatus.UNFINISHED


class JournalBroken(PvectlError):
    """A journal's hash chain is broken."""

    code = "E_JOURNAL"
    exit_status = ExitStatus.NOT_RESTORED


class JournalFailed(PvectlError):
    """A journal cannot be written or read: no request is sent unrecorded."""

    code = "E_JOURNAL_FAILED"
    exit_status = ExitStatus.RESTORED


class SinkFailed(PvectlError):
    """A secret's sink cannot be written, or the files may not use it."""

    code = "E_SINK"
    exit_status = ExitStatus.REFUSED


class SecretUnreadable(SinkFailed):
    """A secret cannot be read from where it is said to be. Nothing was sent, unless a run had
    started.
    """

    code = "E_SECRET"
    exit_status = ExitStatus.SECRETS


class SecretsUnusable(PvectlError):
    """Secrets that a plan sends are missing or would be refused by Proxmox VE; `findings` holds all
    of them. Nothing was sent.
    """

    code = "E_SECRETS"
    exit_status = ExitStatus.SECRETS


class DrillFailed(PvectlError):
    """What a restore drill was to prove is not so: the summary says why."""

    code = "E_DRILL"
    exit_status = ExitStatus.NOT_PROVEN
