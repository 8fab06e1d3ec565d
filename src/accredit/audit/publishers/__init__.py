"""The places where the log can be published, by the name that the settings use."""

from collections.abc import Callable
from pathlib import Path

from accredit.audit.publisher import Publisher
from accredit.audit.publishers.filesystem import FilesystemPublisher

PUBLISHERS: dict[str, Callable[[Path], Publisher]] = {
    "filesystem": FilesystemPublisher,
}
