"""Attacks from inside the real sandbox: what must not be read, reached, written, filled or outlived."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator_v2.core.errors import SandboxUnavailableError
from orchestrator_v2.workspace.isolation import bwrap_arguments, find_bwrap, python_homes
from orchestrator_v2.workspace.sandbox import ROOT, Limits, Ran, Sandbox

pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="bubblewrap is not installed")
PYTHON = (sys.executable, "-I", "-S", "-c")
SMALL = Limits(memory=200 << 20, processes=40, output=10_000, file=1 << 20)


def attack(
    root: Path, code: str, *, timeout: float = 10.0, limits: Limits = SMALL, hidden: tuple[Path, ...] = ()
) -> Ran:
    """Runs Python `code` isolated in `root`."""
    sandbox = Sandbox(limits=limits, hidden=hidden)
    return asyncio.run(sandbox.run((*PYTHON, code), root=root, timeout=timeout, require_isolation=True))


def gone(mark: str, within: float = 3.0) -> bool:
    """Whether no process with `mark` in its command line is left, seen from outside."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).returncode == 1:
            return True
        time.sleep(0.02)
    return False


def test_the_walls_stand_here() -> None:
    """The self-test passes on this machine, and its answer is kept: a second asking starts no process."""
    sandbox = Sandbox()
    assert asyncio.run(sandbox.self_test()) is None
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    assert asyncio.run(sandbox.self_test()) is None
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt == started


def test_a_command_runs_in_its_workspace_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    """It may read and write its workspace, is not root, and sees its own place instead of ours."""
    (tmp_path / "in.txt").write_text("given")
    code = (
        "import os, sys; open('out.txt', 'w').write(open('in.txt').read() + sys.argv[1])\n"
        "print(os.getuid()); sys.exit(7)"
    )
    argv = (*PYTHON, code, f"{ROOT}/x")
    ran = asyncio.run(Sandbox().run(argv, root=tmp_path, timeout=10, require_isolation=True))
    assert (ran.exit_code, ran.timed_out, ran.output) == (7, False, "1000\n")
    assert ran.isolation.startswith("bubblewrap")
    assert (tmp_path / "out.txt").read_text() == "given/project/x"
    assert 0 < ran.duration < 10


def test_nothing_of_the_machine_can_be_read(tmp_path: Path) -> None:
    """Homes, /run, /var, the data directory, other temp files and our sources do not exist inside."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "runs.db").write_text("canary-data")
    (tmp_path / "root").mkdir()
    secret = Path.home() / f".canary-{os.getpid()}"
    secret.write_text("canary-home")
    places = [
        data / "runs.db",
        secret,
        "/etc/shadow",
        "/etc/passwd",
        "/var/lib",
        "/run",
        "/root/.ssh",
        __file__,
        "/sys",
    ]
    code = (
        "import os\nfor place in " + repr([str(p) for p in places]) + ":\n"
        "    print(place if os.path.exists(place) else 'absent')\nprint(os.listdir('/tmp'))\n"
    )
    try:
        ran = attack(tmp_path / "root", code)
    finally:
        secret.unlink()
    # An interpreter below /tmp is seen, by the first part of its path; nothing else of /tmp is.
    ours = sorted({home.parts[2] for home in python_homes() if home.is_relative_to("/tmp")})
    assert ran.output == "absent\n" * len(places) + f"{ours}\n"


def test_a_data_directory_beside_the_interpreter_is_covered(tmp_path: Path) -> None:
    """Where the interpreter's own directory is readable, a hidden one below it is empty and closed."""
    hidden = Path(sys.prefix) / f"canary-{os.getpid()}"
    hidden.mkdir()
    (hidden / "vault").write_text("canary")
    code = (
        f"import os; place = {str(hidden)!r}\n"
        "print(os.path.isdir(place), os.listdir(place), flush=True)\nopen(place + '/new', 'w')"
    )
    try:
        ran = attack(tmp_path, code, hidden=(hidden,))
        seen = attack(tmp_path, code)
    finally:
        (hidden / "vault").unlink()
        hidden.rmdir()
    assert ran.output.startswith("True []\n") and "Read-only file system" in ran.output
    assert "vault" in seen.output, "without hiding it, the canary is there: the test can fail"


def test_an_interpreter_below_the_hosts_tmp_is_seen() -> None:
    """A checkout under /tmp works: what must be readable is mounted after the sandbox's own empty /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        seen = Path(name, "seen")
        seen.mkdir()
        (seen / "here.txt").write_text("there")
        root = Path(name, "root")
        root.mkdir()
        arguments = bwrap_arguments(
            find_bwrap() or "",
            root=root,
            environ={},
            readable=[seen],
            hidden=[],
            command=["/bin/ls", "/tmp", str(seen)],
        )
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["/tmp:", Path(name).name, f"{seen}:", "here.txt"]


def test_nothing_outside_the_workspace_can_be_written(tmp_path: Path) -> None:
    """The root, the system, the interpreter, /dev and the parent of the workspace refuse each write."""
    (tmp_path / "root").mkdir()
    places = [
        "/planted",
        "/usr/planted",
        f"{sys.prefix}/planted",
        "/dev/planted",
        "/proc/sys/kernel/hostname",
        "/proc/self/oom_score_adj",
        "/etc/planted",
    ]
    code = (
        "for place in " + repr([*places, "/project/../planted"]) + ":\n    try:\n        open(place, 'w').write('x')\n"
        "        print('WROTE', place)\n    except OSError:\n        print('refused')\n"
    )
    assert attack(tmp_path / "root", code).output == "refused\n" * 8
    assert not Path(sys.prefix, "planted").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


def test_no_file_of_the_kernel_is_writable(tmp_path: Path) -> None:
    """Also when root started it: nothing below /proc but what is its own process opens for writing."""
    code = (
        "import os\nfound = []\nfor place, folders, names in os.walk('/proc'):\n"
        "    folders[:] = [f for f in folders if f not in ('self', 'thread-self') and not f.isdigit()]\n"
        "    for name in names:\n        try:\n"
        "            os.close(os.open(f'{place}/{name}', os.O_WRONLY | os.O_NONBLOCK))\n"
        "            found.append(f'{place}/{name}')\n        except OSError:\n            pass\nprint(found)\n"
    )
    assert attack(tmp_path, code, timeout=30).output == "[]\n"


def test_a_server_on_loopback_is_not_reachable(tmp_path: Path) -> None:
    """The network inside is another one: a listener of the test sees no connection, and there is no way out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        server.settimeout(0.2)
        code = (
            "import socket\n"
            f"ports = {server.getsockname()[1]}, {six.getsockname()[1]}\n"
            "for place in [('127.0.0.1', ports[0]), ('::1', ports[1]), ('192.0.2.1', 80)]:\n"
            "    try:\n        socket.create_connection(place, 1); print('CONNECTED')\n"
            "    except OSError:\n        print('refused')\n"
        )
        assert attack(tmp_path, code).output == "refused\n" * 3
        with pytest.raises(TimeoutError):
            server.accept()
        socket.create_connection(server.getsockname(), 1).close()
        server.accept()[0].close()


def test_no_environment_of_ours_is_readable(tmp_path: Path) -> None:
    """A canary in our environment is in no /proc/*/environ inside, also not in that of process 1."""
    code = (
        "import asyncio, sys; from pathlib import Path; from orchestrator_v2.workspace.sandbox import Sandbox\n"
        "inside = \"import glob, os\\nfor p in glob.glob('/proc/[0-9]*/environ'):\\n"
        "    print(p, open(p, 'rb').read())\\n"
        'print(sorted(os.environ))"\n'
        f"run = Sandbox().run(({PYTHON[0]!r}, '-I', '-S', '-c', inside), root=Path({str(tmp_path)!r}), timeout=9,"
        " require_isolation=True)\nprint(asyncio.run(run).output)\n"
    )
    environ = {**os.environ, "ANTHROPIC_API_KEY": "canary-4711"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "/proc/1/environ" in done.stdout and "'HOME'" in done.stdout
    assert "canary" not in done.stdout and "API_KEY" not in done.stdout


def test_a_fork_bomb_is_bounded_and_leaves_nothing(tmp_path: Path) -> None:
    """Forking until it fails stops at the ceiling, or at the clock; then all of it is gone."""
    mark = f"bomb{os.getpid()}"
    code = (
        f"'{mark}'\nimport os, time\nmade = 0\ntry:\n    while made < 2000:\n        if os.fork() == 0:\n"
        "            time.sleep(60)\n            os._exit(0)\n        made += 1\n"
        "except OSError:\n    print('stopped at', made, flush=True)\ntime.sleep(60)\n"
    )
    ran = attack(tmp_path, code, timeout=2.0)
    assert ran.timed_out and ran.exit_code is None
    assert gone(mark)
    if "no cgroup" not in ran.isolation:
        assert 0 < int(ran.output.split()[-1]) <= SMALL.processes


def test_a_memory_bomb_is_bounded(tmp_path: Path) -> None:
    """Memory over the ceiling is refused or kills the command, never the machine."""
    ran = attack(
        tmp_path, "x = []\nwhile True:\n    x.append(bytearray(1 << 24))\n", limits=Limits(address_space=300 << 20)
    )
    assert ran.exit_code not in {0, None}
    ran = attack(tmp_path, "x = bytearray(900 << 20)\nprint('GOT IT')")
    if "no cgroup" not in ran.isolation:
        assert "GOT IT" not in ran.output


def test_memory_over_many_processes_is_bounded_where_groups_are(tmp_path: Path) -> None:
    """Eight processes that each stay below their own ceiling do not pass the group's."""
    code = (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(60 << 20)\n"
        "        print('HELD', flush=True); time.sleep(1); os._exit(0)\nfor _ in range(8):\n    os.wait()\n"
    )
    ran = attack(tmp_path, code)
    if "no cgroup" in ran.isolation:
        pytest.skip("no control groups may be made here")
    assert ran.output.count("HELD") < 8


def test_endless_output_is_cut_and_read_on(tmp_path: Path) -> None:
    """Head and tail are kept within the cap while the command goes on writing; controls are stripped."""
    code = "print('BEGIN\\x1b[31m\\x07\\x00')\nfor i in range(300_000):\n    print('line', i)\nprint('END')"
    ran = attack(tmp_path, code)
    assert ran.exit_code == 0
    assert ran.output.startswith("BEGIN\nline 0\n") and ran.output.endswith("line 299999\nEND\n")
    assert "bytes left out" in ran.output and len(ran.output) < SMALL.output + 100
    endless = attack(tmp_path, "while True: print('x' * 1000)", timeout=0.7)
    assert endless.timed_out and len(endless.output) < SMALL.output + 100


def test_a_huge_file_and_a_full_tmp_are_refused(tmp_path: Path) -> None:
    """One file has a ceiling, and what is written to /tmp and /dev/shm does not go to our disk."""
    code = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n    open('big', 'wb').write(bytes(4 << 20))\nexcept OSError as e:\n    print('refused')\n"
        "open('/tmp/a', 'w').write('x'); open('/dev/shm/a', 'w').write('x')\n"
    )
    assert attack(tmp_path, code).output == "refused\n"
    assert (tmp_path / "big").stat().st_size <= SMALL.file
    assert not Path("/tmp/a").exists() or Path("/tmp/a").read_text() != "x"


@pytest.mark.parametrize("cgroups", [True, False])
@pytest.mark.parametrize("bwrap", ["", "/bin/false"])
def test_sleeping_forever_ends_at_the_clock(tmp_path: Path, bwrap: str, cgroups: bool) -> None:
    """Also when it ignores every signal it may."""
    mark = f"sleeper{os.getpid()}"
    code = (
        f"'{mark}'\nimport signal, time\nfor n in (2, 15, 1):\n    signal.signal(n, signal.SIG_IGN)\n"
        "print('on', flush=True)\ntime.sleep(600)"
    )
    began = time.monotonic()
    sandbox = Sandbox(bwrap=bwrap, use_cgroups=cgroups)
    ran = asyncio.run(sandbox.run((*PYTHON, code), root=tmp_path, timeout=0.5, require_isolation=False))
    assert ran.timed_out and ran.output == "on\n"
    assert time.monotonic() - began < 3
    assert gone(mark)


def test_a_daemon_does_not_outlive_the_command(tmp_path: Path) -> None:
    """A child with a session of its own, holding the output open, is dead when the command has ended."""
    mark = f"daemon{os.getpid()}"
    code = (
        f"'{mark}'\nimport os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(600)\n    os._exit(0)\nos.wait()\nprint('done')\n"
    )
    ran = attack(tmp_path, code, timeout=8.0)
    assert (ran.exit_code, ran.output, ran.timed_out) == (0, "done\n", False)
    assert gone(mark)


def test_a_cancelled_run_kills_and_reaps_its_child(tmp_path: Path) -> None:
    """Cancelling the waiting task ends the command, also when it is cancelled twice."""
    mark = f"cancelled{os.getpid()}"

    async def scene() -> None:
        sandbox = Sandbox()
        await sandbox.self_test()
        running = sandbox.run(
            (*PYTHON, f"'{mark}'\nimport time; open('on', 'w'); time.sleep(600)"),
            root=tmp_path,
            timeout=60,
            require_isolation=True,
        )
        task = asyncio.create_task(running)
        while not (tmp_path / "on").exists():  # noqa: ASYNC110 - it is another process that makes it
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert gone(mark)


def test_a_killed_orchestrator_takes_the_sandbox_with_it(tmp_path: Path) -> None:
    """After SIGKILL of the process that started it, nothing in the sandbox lives on."""
    mark = f"orphan{os.getpid()}"
    inside = f"'{mark}'; import time; open('on', 'w'); time.sleep(600)"
    code = (
        "import asyncio; from pathlib import Path; from orchestrator_v2.workspace.sandbox import Sandbox\n"
        f"asyncio.run(Sandbox().run(({PYTHON[0]!r}, '-I', '-S', '-c', {inside!r}), root=Path({str(tmp_path)!r}),"
        " timeout=60, require_isolation=True))\n"
    )
    find = ["find", "/sys/fs/cgroup", "-name", "orchestrator-*"]
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not (tmp_path / "on").exists():
            time.sleep(0.01)
        process.kill()
    assert gone(mark)
    attack(tmp_path, "print('the next run sweeps up')")
    groups = subprocess.run(find, capture_output=True, text=True, check=False).stdout
    assert f"orchestrator-{process.pid}-" not in groups


@pytest.mark.parametrize("bwrap", ["/bin/false", "/nonexistent/bwrap"])
def test_without_working_walls_real_work_is_refused(tmp_path: Path, bwrap: str) -> None:
    """A broken bubblewrap is found by the self-test; nothing is run and the error says what to do."""
    with pytest.raises(SandboxUnavailableError) as caught:
        asyncio.run(
            Sandbox(bwrap=bwrap).run((*PYTHON, "open('ran', 'w')"), root=tmp_path, timeout=9, require_isolation=True)
        )
    assert "bubblewrap" in caught.value.do and caught.value.parks_as == "blocked"
    assert not (tmp_path / "ran").exists()


def test_without_walls_our_own_templates_run_as_a_limited_process(tmp_path: Path) -> None:
    """Where isolation is not required it runs with an empty environment and limits, and says so."""
    code = (
        "import os, sys; from resource import RLIMIT_CORE, RLIMIT_NOFILE, getrlimit; here = os.getcwd()\n"
        "print(sorted(os.environ), os.environ['HOME'] == here, sys.argv[1] == here)\n"
        "print(getrlimit(RLIMIT_CORE), getrlimit(RLIMIT_NOFILE)[0], os.getsid(0) == os.getpid())"
    )
    argv = (*PYTHON, code, ROOT)
    ran = asyncio.run(Sandbox(bwrap="/bin/false").run(argv, root=tmp_path, timeout=9, require_isolation=False))
    assert ran.isolation.startswith("process")
    assert ran.output == "['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER'] True True\n(0, 0) 256 True\n"


def test_a_survivor_that_goes_on_writing_does_not_hold_us(tmp_path: Path) -> None:
    """As a plain process without groups a child can leave the session; we stop reading, and its next write kills it."""
    mark = f"writer{os.getpid()}"
    code = f"'{mark}'\nimport os\nif os.fork() == 0:\n    os.setsid()\n    while True: os.write(1, b'x' * 60000)\n"
    began = time.monotonic()
    sandbox = Sandbox(bwrap="/bin/false", use_cgroups=False)
    ran = asyncio.run(sandbox.run((*PYTHON, code), root=tmp_path, timeout=5, require_isolation=False))
    assert ran.exit_code == 0 and ran.isolation == "process, no cgroup"
    assert time.monotonic() - began < 3
    assert gone(mark)


def test_a_limited_process_and_its_children_end_at_the_clock(tmp_path: Path) -> None:
    """Children of the process group are killed with it, and the pipe they hold does not hold us."""
    mark = f"limited{os.getpid()}"
    code = f"'{mark}'\nimport os, time\nos.fork()\ntime.sleep(600)"
    began = time.monotonic()
    run = Sandbox(bwrap="/bin/false").run((*PYTHON, code), root=tmp_path, timeout=0.5, require_isolation=False)
    assert asyncio.run(run).timed_out
    assert time.monotonic() - began < 3
    assert gone(mark)


def test_it_works_inside_another_sandbox_or_says_that_it_does_not(tmp_path: Path) -> None:
    """Within a namespace of its own the self-test decides, and a run follows it: isolated, or refused."""
    code = (
        "import asyncio; from pathlib import Path; from orchestrator_v2.workspace.sandbox import Sandbox\n"
        "from orchestrator_v2.core.errors import SandboxUnavailableError\n"
        "async def main():\n    s = Sandbox()\n    fault = await s.self_test()\n    try:\n"
        f"        r = await s.run(('/bin/true',), root=Path({str(tmp_path)!r}), timeout=9, require_isolation=True)\n"
        "        print('ran', r.exit_code, fault)\n    except SandboxUnavailableError:\n"
        "        print('refused', bool(fault))\nasyncio.run(main())\n"
    )
    outer = [
        str(find_bwrap()),
        "--unshare-user",
        "--unshare-pid",
        "--bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--",
    ]
    done = subprocess.run(
        [*outer, sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout in {"ran 0 None\n", "refused True\n"}


def test_no_control_group_and_no_open_file_is_left(tmp_path: Path) -> None:
    """After runs that ended well and badly, nothing of them is left in the machine."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    attack(tmp_path, "print(1)")
    attack(tmp_path, "while True: pass", timeout=0.3)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    left = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", f"orchestrator-{os.getpid()}-*"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert left.stdout == ""
