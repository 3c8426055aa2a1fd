"""What findings share: their place, whether they are known, and one report per table."""
