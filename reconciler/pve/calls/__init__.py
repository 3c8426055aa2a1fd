"""Which privileges each call of the API asks for, as data: `rule` and `table`."""
