"""What happens: the pure machine that turns events into commands. Start with `machine.py`.

Pure: no clock, chance, disk, network, environment, log or database; time, ids and outcomes arrive in events.
"""
