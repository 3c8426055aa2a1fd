"""Fuzzing: whatever a file, a plan, a journal or an answer holds, no traceback and no bomb."""
