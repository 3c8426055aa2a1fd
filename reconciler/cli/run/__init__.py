"""A plan from making it to its end: made, saved, applied, recovered, remembered."""
