"""The page: view models, templates and static files, from plain values to HTML. No I/O; routes are beside it."""
