"""From a live cluster to state files: all of it, in steps, or what Terraform leaves."""
