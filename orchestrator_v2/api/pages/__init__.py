"""The page's routes: a question to the service, a view of the answer, a template; every form is a plain post."""
