"""Agents, their conversations, what models cost, and the gateway through which all model traffic goes.

Runs are the engine's: what an agent did is in the history of its execution, never a second time here.
"""
