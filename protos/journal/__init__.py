"""The journal: record messages of the live bridge."""
