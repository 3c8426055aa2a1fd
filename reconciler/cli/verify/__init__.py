"""`verify`: expectations asked of the cluster, and calls made as its tokens."""
