"""References to secrets: where they come from and where new ones go; never the secrets
themselves.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from reconciler.invalid_value import InvalidValue

SECRET_VARIABLE = "PVECTL_TOKEN_SECRET"  # noqa: S105 - the name of a variable
"""Holds the secret of the token with which pvectl itself acts."""


TOTP_VARIABLE = "PVECTL_TOTP_SECRET"
"""Holds the key of the one-time passwords of the user as whom pvectl logs in."""


def _spelled(command: tuple[str, ...]) -> str:
    """Program and arguments in full: a reviewer must see what will run."""
    return shlex.join(command)


_OWN = frozenset(
    {
        SECRET_VARIABLE,
        TOTP_VARIABLE,
        "PVECTL_PROBE_SECRET",
        "PVECTL_PROXY",
        "PVECTL_SANDBOX_ROOT_PASSWORD",
    }
)
"""Variables of pvectl that hold a secret, or may: a proxy's address may have a password."""


def without_credentials(
    environ: Mapping[str, str], own: Iterable[SecretRef] = ()
) -> dict[str, str]:
    """The environment for other programs, without pvectl's own secrets, such as its token secret,
    which `own` names.
    """
    hidden = _OWN | {one.env for one in own}
    return {name: value for name, value in environ.items() if name not in hidden}


def _place(value: str | None) -> str | None:
    """Check the name of a file, a variable or an entry."""
    if value is not None:
        _refuse_unusable(value)
        if not value:
            raise ValueError("the name is empty")
    return value


def _program(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value is not None:
        if not value or not value[0]:
            raise InvalidValue(
                "the command is empty", 'write a list, for example ["pass", "show", "pve"]'
            )
        for word in value:
            _refuse_unusable(word)
    return value


def _refuse_unusable(text: str) -> None:
    if "\0" in text or (not text.isascii() and text != text.encode(errors="replace").decode()):
        raise InvalidValue(
            "it contains a NUL character or one that file names cannot contain", "remove it"
        )


Place = Annotated[str | None, AfterValidator(_place)]
Program = Annotated[tuple[str, ...] | None, AfterValidator(_program)]


class SecretRef(BaseModel):
    """A secret by reference, resolved just before it is sent: exactly one of the three.

    `env` names a variable, `file` a path relative to the state folder, `command` an argument
    list that prints the secret. A command never runs while planning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: Place = Field(default=None, description="name of an environment variable")
    file: Place = Field(default=None, description="a path, relative to the state folder")
    command: Program = Field(
        default=None,
        description="program and arguments that print the secret; does not run while planning",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError('set exactly one of env, file, command, for example { env = "NAME" }')
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"(secret from ${self.env})"
        if self.file is not None:
            return f"(secret from {self.file})"
        return f"(secret from the command: {_spelled(self.command or ())})"


class SecretSink(BaseModel):
    """Where a new token secret is delivered: exactly one of the five.

    `file`: written with mode 0600, relative to the state folder. `command`: receives the secret on
    standard input. `env_file`: the line `variable=SECRET` is set in that file. `keyring`: the name
    of an entry in the system keyring. `stdout`: printed once, on a terminal or into a pipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Place = Field(default=None, description="a path; the file gets mode 0600")
    command: Program = Field(
        default=None, description="program and arguments; it receives the secret on standard input"
    )
    env_file: Place = Field(default=None, description="a file with lines NAME=VALUE")
    variable: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="the line of `env_file` that holds the secret",
    )
    keyring: Place = Field(default=None, description="an entry of the system's keyring")

    stdout: Literal[True] | None = Field(
        default=None, description="true: printed once, on a terminal or into a pipe"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = (self.file, self.command, self.env_file, self.keyring, self.stdout)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "set exactly one of file, command, env_file, keyring, stdout: "
                '{ file = "secrets/x" }'
            )
        if (self.env_file is None) != (self.variable is None):
            raise ValueError(
                'env_file and variable go together: { env_file = ".env", variable = "X" }'
            )
        return self

    def __str__(self) -> str:
        if self.file is not None:
            return f"file {self.file}"
        if self.env_file is not None:
            return f"variable {self.variable} in {self.env_file}"
        if self.keyring is not None:
            return f"keyring entry {self.keyring}"
        if self.stdout is not None:
            return "standard output, once"
        return f"the command: {_spelled(self.command or ())}"

    @property
    def delivery(self) -> str:
        """What becomes of a new secret, in words."""
        kept = self.command is None and self.stdout is None
        return f"the new secret {'is stored in' if kept else 'goes to'} {self}"
