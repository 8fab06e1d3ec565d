"""One file a source of the master key; `UNSEALERS` is asked in order, and the first that the settings name is it."""

from collections.abc import Callable

from accredit.keys.unsealer import Unsealer
from accredit.keys.unsealers.environment import EnvironmentUnsealer
from accredit.keys.unsealers.file import FileUnsealer
from accredit.settings import Settings

UNSEALERS: tuple[Callable[[Settings], Unsealer | None], ...] = (
    lambda settings: None if settings.master_key is None else EnvironmentUnsealer(settings.master_key),
    lambda settings: FileUnsealer(settings.data),
)
