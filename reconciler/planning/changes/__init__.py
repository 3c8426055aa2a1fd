"""What has to change between two states, and what is left alone."""
