"""One file a source of the master key, listed in `UNSEALERS` in the order in which they are asked."""

from accredit.keys.unsealers.environment import EnvironmentUnsealer
from accredit.keys.unsealers.file import FileUnsealer

UNSEALERS = (EnvironmentUnsealer, FileUnsealer)
