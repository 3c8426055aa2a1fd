"""pvectl: declare, review and keep access and backups of Proxmox VE."""

__version__ = "0.1.0"
