"""Storages: hooks of their plugins, free space, the disks of guests."""
