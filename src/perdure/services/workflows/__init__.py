"""Owns published workflows and their versions, schedules, webhooks and the inbox; starts and steers runs on the engine.

Promises that a version never changes once published. Does not decide anything inside a run: that is the machine's.
"""
