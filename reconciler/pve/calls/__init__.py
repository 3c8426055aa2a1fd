"""The privileges that each API call requires, as data: `rule` and `table`."""
