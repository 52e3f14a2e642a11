"""Drivers that walk a run to its end. Which task may start is the engine's word."""
