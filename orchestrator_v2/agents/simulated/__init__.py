"""The deterministic templates' side of the agents: a brief in, files out, no model anywhere. How an agent is driven is `agents/base_agent.py`."""
