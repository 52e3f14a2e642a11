"""Model providers behind one client: types, retries, prices and wires.

Who uses a model for what is the agents' floor.
"""
