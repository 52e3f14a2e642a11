"""Web search for prompts that need the present: engines, the choice of what to look up, and its record.

What becomes of the results is `wrappers/search_augmented.py`.
"""
