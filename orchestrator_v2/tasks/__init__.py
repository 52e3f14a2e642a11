"""Single tasks given to single agents: who there is (`AgentRegistry`), and having it done (`TaskExecutor`).

Whole workflows are the engine's, typed `feature.operation` handlers are `operations/`; models are the `llm` floor.
"""
