"""Archives and drills judged by what the files promise, and what a retention would remove."""
