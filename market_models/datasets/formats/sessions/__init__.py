"""Decoders of recorded exchange sessions, one module a venue. See `formats/session.py`."""
