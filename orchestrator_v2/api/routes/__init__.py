"""The API's routes, a file for each kind of thing; each is thin: a body in, a question, an answer out."""
