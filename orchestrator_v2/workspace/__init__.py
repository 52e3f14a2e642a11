"""Files, git and processes: the only floor that touches a project's tree. Nothing here knows an agent."""
