"""The state folder on disk: its commit, earlier files, secrets, and what an import adds."""
