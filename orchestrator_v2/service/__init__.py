"""What a server's users ask for, each question with its owner in it: projects, runs, accounts, keys."""
