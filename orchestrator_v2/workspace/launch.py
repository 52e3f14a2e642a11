"""The last step before foreign code: joins its cgroups, sets limits, and becomes the command. Stdlib only.

It is run as a script, `python -I -S launch.py SPEC`, by `sandbox.py`, which makes the specification.
"""

import json
import os
import resource
import sys


def main(specification: str) -> None:
    """`specification` is JSON: groups (paths of cgroup.procs), limits (name to value), cwd, argv, environ."""
    spec = json.loads(specification)
    for group in spec["groups"]:
        with open(group, "w") as procs:  # noqa: PTH123 - pathlib would cost more than the rest of this file
            procs.write(str(os.getpid()))
    for name, value in spec["limits"].items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (ceiling, ceiling))
    os.umask(0o022)
    os.chdir(spec["cwd"])
    os.execve(spec["argv"][0], spec["argv"], spec["environ"])  # noqa: S606 - becoming the command is its purpose


if __name__ == "__main__":
    main(sys.argv[1])
