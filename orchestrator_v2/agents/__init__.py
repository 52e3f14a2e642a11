"""Prompts in, plans and artifacts out: eight roles as values. Agents never reach for a database or the engine."""
