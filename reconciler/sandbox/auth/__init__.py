"""Logins: accounts, passwords, second factors, tickets."""
