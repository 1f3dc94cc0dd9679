"""Owns tenants, projects, users, API keys, roles and sessions, and the record of sign-ins.

Promises that no secret it keeps can be read back. Does not check permissions of requests: that is the gateway's.
"""
