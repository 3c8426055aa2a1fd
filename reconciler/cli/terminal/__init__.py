"""Standard streams, prompts, signals and progress."""
