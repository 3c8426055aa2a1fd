"""Measurements of pvectl on small and on the largest clusters: `python -m tests.bench`."""
