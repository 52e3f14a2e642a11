"""Settings and where each came from. Nothing here acts on them."""
