"""Where secrets come from and where new ones go; never the secrets themselves."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HIDDEN = frozenset(
    {"client-key", "encryption-key", "keyring", "keys", "master-pubkey", "password", "secret"}
)
"""Fields whose text is never shown, wherever it comes from; references are."""


def _without_nul(*texts: str | None) -> None:
    """No system call takes one in a name or an argument; raises ValueError."""
    if any("\0" in text for text in texts if text is not None):
        raise ValueError("a NUL character cannot stand in a name or an argument; remove it")


class SecretRef(BaseModel):
    """A secret by reference, resolved just before it is sent: exactly one of the three.

    `env` names a variable, `file` a path relative to the state folder, `command` an argument
    list that prints the secret. A command never runs while planning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError('give exactly one of env, file, command, as in { env = "NAME" }')
        _without_nul(self.env, self.file, *(self.command or ()))
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"(secret from ${self.env})"
        if self.file is not None:
            return f"(secret from {self.file})"
        return "(secret from a command)"


class SecretSink(BaseModel):
    """Where a newly made token secret is delivered: exactly one of the four.

    `file`: written with mode 0600, relative to the state folder. `command`: gets the secret on
    standard input. `env_file`: the line `variable=SECRET` is set in that file. `keyring`: the name
    of an entry in the system's keyring.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None
    command: tuple[str, ...] | None = None
    env_file: str | None = None
    variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    keyring: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = (self.file, self.command, self.env_file, self.keyring)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                'give exactly one of file, command, env_file, keyring, as in { file = "secrets/x" }'
            )
        _without_nul(self.file, self.env_file, self.keyring, *(self.command or ()))
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
        return "a command"
