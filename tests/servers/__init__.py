"""Servers that the tests start: each on a free loopback port of its own, stopped by whoever started it."""
