"""The access review for people and programs; one module per format."""
