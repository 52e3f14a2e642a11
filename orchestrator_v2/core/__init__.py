"""The words that every floor shares: errors, ids, clock, secrets, usage, events. No input or output happens here."""
