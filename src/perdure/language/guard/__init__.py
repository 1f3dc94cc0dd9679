"""The guard layer: a bounded evaluator of expressions over purejq's grammar. `expressions.py` is its front door."""
