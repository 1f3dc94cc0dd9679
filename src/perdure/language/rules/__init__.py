"""What a document must satisfy, one function a rule, one file a topic. `check.py` is its front door."""
