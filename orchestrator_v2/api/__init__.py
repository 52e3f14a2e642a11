"""The HTTP face: JSON routes and the page; all work is done behind `bootstrap`."""
