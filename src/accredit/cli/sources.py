"""Text files that a command sends."""

from pathlib import Path

from accredit.cli.failures import CannotRun


def read_text(path: Path) -> str:
    """The text of a file. Raises CannotRun."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CannotRun(f"{path} is not UTF-8 text") from error
