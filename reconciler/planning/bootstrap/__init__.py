"""The privileges that pvectl itself needs, to plan, to apply, and for backups and drills."""
