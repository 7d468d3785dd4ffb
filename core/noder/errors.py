"""What can go wrong, as sentences for the user; each class carries the exit code of the command line."""

from __future__ import annotations

REMEDIES: dict[str, tuple[str, str]] = {
    "resample": ("Resample onto the first scan", "--resample"),
    "nan_to_zero": ("Replace by 0", "--nan-to-zero"),
}
"""What a user can choose to do about an `InputError`: name -> (text of a button, flag of the command line)."""


class NoderError(Exception):
    """An error with a sentence: the file, the value and the next step."""

    exit_code = 1


class UsageError(NoderError):
    """What was asked for cannot be meant."""

    exit_code = 2


class InputError(NoderError):
    """A file or value given by the user is unusable; `remedy` is a key of `REMEDIES`, or None."""

    exit_code = 3

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class OutputError(NoderError):
    """A result could not be written."""


class OutOfMemory(NoderError):
    """The fit needs more memory than there is."""

    exit_code = 4
