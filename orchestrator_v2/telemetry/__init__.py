"""Logging set up in one place, redacted by live key values. No other module configures a logger."""
