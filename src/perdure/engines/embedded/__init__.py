"""The engine of one process: SQLite and the local disk, nothing else. Start with `engine.py`, then `worker.py`.

Promises `ports/engine.py` and `reliability.md` 1. A fact is committed before anything that depends on it starts.
"""
