"""The composition root of the platform, above `wiring`: which services and adapters one process is made of."""
