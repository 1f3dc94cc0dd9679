"""The history of the workflows service's tables, oldest step first."""
