"""The history of the agents service's tables, oldest step first."""
