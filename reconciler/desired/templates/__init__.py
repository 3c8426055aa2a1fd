"""State files as plain documents: includes, `[[each]]` and variables."""
