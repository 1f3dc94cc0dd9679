"""What `call:` reaches: one file a function. Effects live here and nowhere below."""
