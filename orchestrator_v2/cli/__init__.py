"""The terminal face. It shows and asks; all work is done behind `bootstrap`."""
