"""The command line: `main.py` holds the command table, then one file a noun.

Output for programs goes to standard output and nothing else does; everything meant for people goes to standard error.
"""
