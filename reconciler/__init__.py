"""pvectl: declarative access control and backups for Proxmox VE."""

__version__ = "0.1.0"
