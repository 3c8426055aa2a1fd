"""Restore drills: chosen, checked beforehand, run, recovered."""
