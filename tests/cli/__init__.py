"""Tests through the installed command, over HTTPS with the sandbox as a process of its own."""
