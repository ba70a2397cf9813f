"""Version 1 of the journal; see journal.proto."""
