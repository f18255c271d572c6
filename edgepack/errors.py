"""The one error tree of edgepack.

Every error that can reach a user is an `EdgepackError`: it names the thing, what was got, what is
allowed, and the next command to type. The command line prints it without a traceback and exits with
`exit_code`; each kind of failure has a code of its own so that scripts can tell them apart.
"""

from __future__ import annotations


class EdgepackError(Exception):
    """A failure with a cause that the user can act on.

    Args:
        message: what is wrong, naming the file, op, board or port concerned and what was got.
        allowed: what would have been accepted, or None where that is obvious from the message.
        next_step: the next command or edit that helps, or None where there is none.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, allowed: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.next_step = next_step

    @property
    def kind(self) -> str:
        """A stable snake_case name for machines, such as `model_error`."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as `--json` prints it."""
        return {
            "error": self.kind,
            "message": self.message,
            "allowed": self.allowed,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
        }

    def __str__(self) -> str:
        lines = [self.message]
        if self.allowed:
            lines.append(f"allowed: {self.allowed}")
        if self.next_step:
            lines.append(f"next: {self.next_step}")
        return "\n".join(lines)


class UsageError(EdgepackError):
    """An argument or option that does not make sense."""

    exit_code = 2


class ConfigError(EdgepackError):
    """edgepack.toml is missing, malformed, or names something unknown."""

    exit_code = 3


class ModelError(EdgepackError):
    """A model file that is missing, truncated, corrupt or internally inconsistent."""

    exit_code = 4


class UnsupportedError(EdgepackError):
    """An op, a tensor type or an attribute that the chosen runtime has no kernel for."""

    exit_code = 5


class DataError(EdgepackError):
    """Samples or labels that do not match the model's inputs."""

    exit_code = 6


class FitError(EdgepackError):
    """The image needs more flash or RAM than the target has."""

    exit_code = 7


class MissingToolError(EdgepackError):
    """A program or Python package that is not installed."""

    exit_code = 8


class BuildError(EdgepackError):
    """The compiler or linker rejected the generated project."""

    exit_code = 9


class ProjectError(EdgepackError):
    """A project directory (manifest.json) that is missing, foreign or damaged."""

    exit_code = 10


class PortError(EdgepackError):
    """A serial port or socket that does not exist, is busy, or refuses the connection."""

    exit_code = 11


class DeviceSilentError(EdgepackError):
    """The device stopped answering within the time allowed."""

    exit_code = 12


class DeviceLostError(EdgepackError):
    """The device reset, died, or its port vanished in the middle of a run."""

    exit_code = 13


class ProtocolError(EdgepackError):
    """The device answered something that the protocol does not allow."""

    exit_code = 14


class WrongImageError(EdgepackError):
    """The device runs another image than the one that was built."""

    exit_code = 15


class ParityError(EdgepackError):
    """The device computed other output bytes than the oracle."""

    exit_code = 16


class FlashError(EdgepackError):
    """A flash tool failed, or what was read back differs from what was written."""

    exit_code = 17


class ConversionError(EdgepackError):
    """A converter or quantizer rejected the model."""

    exit_code = 18


class DeviceError(EdgepackError):
    """The device itself reported an error: out of arena, a failed inference, a bad argument."""

    exit_code = 19
