"""Backups: a job run now, what can be restored, what a changed retention would remove."""
