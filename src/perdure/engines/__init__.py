"""What drives runs: each engine is a loop around the pure machine (`ports/engine.py`)."""
