"""People: owners, administrators and their sessions in the console."""
