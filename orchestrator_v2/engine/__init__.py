"""The engine: state, graph, gates, budget and the walk through them.

It knows no agent, model or database, only the protocols in `ports.py`.
"""
