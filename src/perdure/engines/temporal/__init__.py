"""The engine on a Temporal server: the same machine, driven by one generic workflow type.

Nothing outside this package imports `temporalio`, and `wiring` imports this package on first use only.
"""
