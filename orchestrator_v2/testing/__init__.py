"""Doubles and builders that are shipped for users' tests too. Nothing in the package imports this."""
