"""The feature `pillars`: the few sentences that a game's design is decided by, judged, mended and completed.

What an operation is in general is `operations/handler.py`; the words of the prompts are in `subagent_prompts/`.
"""
