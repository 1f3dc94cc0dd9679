"""What was written: reading, checking and describing documents of the Open Workflow Specification DSL 1.0.

Pure: no clock, chance, disk, network, environment, log or database.
"""
