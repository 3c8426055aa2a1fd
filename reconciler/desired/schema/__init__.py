"""JSON Schemas and the reference of every key, from the tables of the kinds."""
