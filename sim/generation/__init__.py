"""Generated markets at speed: a calibrated flow in the book, its LOBSTER rows, and the files that hold them."""
