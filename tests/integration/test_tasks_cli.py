"""Agents that are programs: real processes, honest ones and hostile ones, and nothing of them left behind."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.tasks.agent_registry import AgentRegistry
from orchestrator_v2.tasks.agent_task import AgentTask, ExecutionResult
from orchestrator_v2.tasks.command import CLAUDE_CODE, CODEX, GEMINI, Answer, Command
from orchestrator_v2.tasks.task_executor import TaskExecutor
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = "sk-planted-canary-0123456789"
PATH = {"PATH": "/usr/bin:/bin"}

# Forks a child that forks a child; all ignore TERM, write their ids, and then do nothing for ten minutes.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
for _ in range(2):
    if os.fork():
        break
with open(sys.argv[1], "a") as log:
    log.write(f"{os.getpid()}\\n")
with open(sys.argv[1] + ".folders", "a") as log:
    log.write(f"{os.getcwd()}\\n")
time.sleep(600)
"""
# A child that outlives its parent, holds its stdout and would write for ever.
LITTERER = """
import os, sys, time
if os.fork():
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    print("Four.", flush=True)
    os._exit(0)
with open(sys.argv[1], "w") as log:
    log.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
ENDLESS = """
import sys
stream = getattr(sys, sys.argv[1])
while True:
    stream.write("x" * 65536)
"""
ENVIRONMENT = "import json, os; print(json.dumps({'answer': dict(os.environ)}))"
ANSWER = Answer("json", "answer")


def python(source: str, *words: str, **more: object) -> Command:
    """A program of its own that is this source."""
    return Command((sys.executable, "-I", "-S", "-c", source, *words), **more)  # type: ignore[arg-type]


def run(
    command: Command | list[str],
    task: AgentTask | str = "What is 2 + 2?",
    *,
    model="",
    key=None,
    environ=PATH,
    ledger=None,
) -> ExecutionResult:
    """That task done by that command."""
    agents = AgentRegistry()
    agents.register_agent("tool", "developer", "cli", model, key, command=command)
    task = AgentTask(task) if isinstance(task, str) else task
    return TaskExecutor(agents, environ=environ, ledger=ledger).execute_sync(task)


def pids(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def is_alive(pid: int) -> bool:
    """A process that runs; one that is dead and not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(log: Path) -> bool:
    """Whether all that wrote their ids end within a moment."""
    for _ in range(100):
        if not any(map(is_alive, pids(log))):
            return True
        time.sleep(0.02)
    return False


def wait_for(log: Path, count: int) -> None:
    for _ in range(500):
        if len(pids(log)) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the program did not start")


def test_a_program_answers() -> None:
    """The prompt goes in by stdin, the answer comes out, and the metadata says how it came to be."""
    result = run(python("import sys; print(sys.stdin.read().upper())"), AgentTask("four?", task_id="t1"))
    assert (result.success, result.output, result.task_id, result.error) == (True, "FOUR?", "t1", None)
    told = result.metadata
    assert (told["execution_method"], told["agent"], told["exit_code"], told["attempts"]) == ("cli", "tool", 0, 1)
    assert told["provider"] == Path(sys.executable).name
    assert result.cost is None


def test_the_context_and_the_system_prompt_reach_the_program() -> None:
    """What a task says besides is in the prompt, quoted, or where the command has a place for it."""
    show = "import json, sys; print(json.dumps({'answer': json.dumps([sys.argv[1:], sys.stdin.read()])}))"
    task = AgentTask("Sum up.", system_prompt="Be brief.", context={"notes": "--a; $(b)", "numbers": [1, 2]})
    argv, stdin = json.loads(run(python(show, answer=ANSWER), task).output)
    assert argv == []
    assert stdin.startswith('Be brief.\n\nSum up.\n\n<context path="notes"')
    assert "--a; $(b)" in stdin
    argv, stdin = json.loads(
        run(python(show, "-m", "{model}", "-s", "{system}", "--", "{prompt}", answer=ANSWER), task, model="opus").output
    )
    assert argv[:5] == ["-m", "opus", "-s", "Be brief.", "--"]
    assert argv[5].startswith("Sum up.")
    assert stdin == ""


def test_the_program_has_the_listed_variables_and_no_others() -> None:
    """The environment is empty but for the list; the agent's key is in it under the name that was given for it."""
    environ = {**PATH, "HOME": "/root", "LANG": "C", "OPENAI_API_KEY": KEY, "MINE": "1", "ZAI_KEY": "zai-" + KEY}
    plain = json.loads(run(python(ENVIRONMENT, answer=ANSWER), environ=environ).output)
    assert {name for name in plain if name != "LC_CTYPE"} == {"PATH", "HOME", "LANG"}
    listed = json.loads(run(python(ENVIRONMENT, environ=("MINE", "NOT_SET"), answer=ANSWER), environ=environ).output)
    assert {name for name in listed if name != "LC_CTYPE"} == {"MINE"}
    command = python(ENVIRONMENT, environ=(), credential_variable="TOOL_KEY", answer=ANSWER)
    keyed = run(command, key="${ZAI_KEY}", environ=environ)
    assert {name for name in json.loads(keyed.output) if name != "LC_CTYPE"} == {"TOOL_KEY"}
    assert json.loads(keyed.output)["TOOL_KEY"] == "[redacted]"


def test_a_key_that_is_not_set_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    """The program does not run without the key that it was promised."""
    mark = tmp_path / "started"
    command = python(f"open({str(mark)!r}, 'w')", credential_variable="TOOL_KEY")
    result = run(command, key="${ZAI_KEY}")
    assert result.error is not None
    assert (result.error.code, result.error.do) == ("needs_credential", "Set ZAI_KEY.")
    assert (mark.exists(), result.cost) == (False, 0)


def test_a_key_is_in_no_argument_and_in_no_result(tmp_path: Path) -> None:
    """A key in a prompt is taken out, one in argv stops the task, and one that the program says is not repeated."""
    environ = {**PATH, "TOOL_API_KEY": KEY}
    echo = python("import os, sys; print(sys.argv[1:], sys.stdin.read())", "{prompt}", environ=("TOOL_API_KEY",))
    said = run(echo, f"Use {KEY} now.", environ=environ)
    assert said.output.startswith("['Use [redacted] now.']")
    plain = "zai.planted.canary.0123456789"
    planted = run(python("print(1)", plain, environ=("TOOL_API_KEY",)), environ={**PATH, "TOOL_API_KEY": plain})
    assert planted.error is not None
    assert planted.error.code == "invalid_config"
    assert plain not in repr(planted)
    loud = python("import os, sys; sys.exit('my key is ' + os.environ['TOOL_API_KEY'])", environ=("TOOL_API_KEY",))
    failed = run(loud, environ=environ)
    assert failed.error is not None
    assert "my key is [redacted]" in failed.error.why
    assert KEY not in repr([said, planted, failed])


def test_a_value_that_is_no_key_may_be_said() -> None:
    """Neither a key map nor what the user says is no key is taken out; a password inside of a URL is."""
    say = "import os; print(*(os.environ[name] for name in ('XKB_KEYMAP', 'API_KEY_MODE', 'DATABASE_URL')))"
    names = ("XKB_KEYMAP", "API_KEY_MODE", "DATABASE_URL")
    environ = {**PATH, "XKB_KEYMAP": "german", "API_KEY_MODE": "result", "DATABASE_URL": "pg://u:hunter2secret@h/db"}
    assert run(python(say, environ=names), environ=environ).output == "german [redacted] pg://u:[redacted]@h/db"
    told = python(say, "german", "result", environ=names, secret_variables=("DATABASE_URL",))
    assert run(told, environ=environ).output == "german result [redacted]"


def test_it_works_in_a_folder_of_its_own_or_in_the_one_that_was_named(tmp_path: Path) -> None:
    """What a program leaves in its own folder is gone with it; a named folder is left as it is."""
    leaves = "import os; open('left', 'w').close(); print(os.getcwd())"
    own = run(python(leaves))
    assert Path(own.output).name.startswith("orchestrator-task-")
    assert not Path(own.output).exists()
    named = run(python(leaves, folder=str(tmp_path)))
    assert named.output == str(tmp_path)
    assert (tmp_path / "left").exists()
    missing = run(python(leaves, folder=str(tmp_path / "none")))
    assert missing.error is not None
    assert missing.error.code == "workspace"


def test_a_program_that_ignores_term_is_killed_with_its_children(tmp_path: Path) -> None:
    """When the time is over nothing of the group goes on, and that is a failure."""
    log = tmp_path / "pids"
    began = time.monotonic()
    result = run(python(STUBBORN, str(log), timeout=1.5, grace=0.3))
    assert result.error is not None
    assert (result.error.code, result.metadata["fault"]) == ("provider_unavailable", "timeout")
    assert (result.metadata["exit_code"], result.cost) == (None, None)
    assert time.monotonic() - began < 5
    assert len(pids(log)) == 3
    assert gone(log)


def test_the_tasks_own_time_holds_too(tmp_path: Path) -> None:
    """The shorter of the task's and the command's time is the one that counts."""
    result = run(python("import time; time.sleep(600)"), AgentTask("p", timeout=0.4))
    assert result.metadata["fault"] == "timeout"
    assert result.duration < 5


def test_term_comes_first(tmp_path: Path) -> None:
    """A program that heeds TERM may put its things in order."""
    mark = tmp_path / "orderly"
    source = (
        "import signal, sys, time\n"
        "def end(*_):\n    open(sys.argv[1], 'w').close()\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\ntime.sleep(600)\n"
    )
    result = run(python(source, str(mark), timeout=0.5, grace=5))
    assert mark.exists()
    assert not result.success
    assert result.duration < 4


def test_a_child_that_is_left_behind_is_ended_and_holds_nobody_up(tmp_path: Path) -> None:
    """The program has answered: its child, which holds the output open, is killed, and the answer counts."""
    log = tmp_path / "pids"
    result = run(python(LITTERER, str(log)))
    assert result.output == "Four."
    assert result.duration < 5
    assert gone(log)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_prints_for_ever_is_ended_in_flat_memory(stream: str) -> None:
    """More than its limit is an error, at once, and is not kept."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run(python(ENDLESS, stream))
    assert result.error is not None
    assert (result.error.code, result.metadata["fault"]) == ("invalid_output", "output_too_large")
    assert result.duration < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 40


def test_exactly_the_limit_is_allowed() -> None:
    """The ceiling is not off by one."""
    say = "import sys; sys.stdout.write('x' * int(sys.argv[1]))"
    assert len(run(python(say, "1000", max_stdout=1000)).output) == 1000
    assert run(python(say, "1001", max_stdout=1000)).metadata["fault"] == "output_too_large"


@pytest.mark.parametrize(
    ("source", "code", "fault"),
    [
        ("import sys; print('Four.'); sys.exit(3)", "provider", "exit_code"),
        ("import os; print('Four.', flush=True); os.kill(os.getpid(), 11)", "provider", "exit_code"),
        ("pass", "empty_output", "empty"),
        ("print('Fo\\0ur.')", "invalid_output", "not_text"),
    ],
)
def test_a_failure_is_never_a_success(source: str, code: str, fault: str) -> None:
    """An exit code, a signal, silence, a NUL: each is an error, though something was printed, and may have cost."""
    result = run(python(source))
    assert result.error is not None
    assert (result.success, result.output, result.error.code, result.metadata["fault"]) == (False, "", code, fault)
    assert result.cost is None


def test_half_of_its_json_is_no_answer() -> None:
    """A program that died while it printed its answer has not answered."""
    result = run(python("print('{\"answer\": \"Fou', end='')", answer=ANSWER))
    assert (result.success, result.metadata["fault"]) == (False, "not_json")


def test_a_prompt_that_nobody_reads_holds_nobody_up() -> None:
    """Four megabytes for a program that never looks at its input."""
    assert run(python("print('Four.')"), "x" * 4_000_000).output == "Four."


@pytest.mark.parametrize(
    ("name", "command", "printed"),
    [
        ("claude", CLAUDE_CODE, {"type": "result", "is_error": False, "result": "Four."}),
        ("codex", CODEX, [
            {"type": "item.completed", "item": {"type": "agent_message", "text": "Four."}}, {"type": "turn.completed"},
        ]),
        ("gemini", GEMINI, {"response": "Four.", "stats": {}}),
    ],
)  # fmt: skip
def test_the_known_programs_are_found_called_and_read(
    tmp_path: Path, name: str, command: Command, printed: object
) -> None:
    """By name in PATH, with the documented arguments and the prompt on stdin; what they print is understood."""
    lines = printed if isinstance(printed, list) else [printed]
    program = tmp_path / name
    log = tmp_path / "seen"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(log)!r}, 'w').write(repr((sys.argv[1:], sys.stdin.read())))\n"
        f"print({chr(10).join(map(json.dumps, lines))!r})\n"
    )
    program.chmod(0o755)
    result = run(command, environ={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (result.output, result.metadata["provider"]) == ("Four.", name)
    argv, stdin = eval(log.read_text())
    assert (argv, stdin) == (list(command.argv[1:]), "What is 2 + 2?")


def test_a_schema_is_asked_for_in_words_and_checked() -> None:
    """What a program answers is held to the schema, and asked only once."""
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    task = AgentTask("2 + 2?", response_schema=schema)
    good = run(python("import sys; assert 'JSON Schema' in sys.stdin.read(); print('Sure: {\"sum\": 4}')"), task)
    assert (good.success, good.data) == (True, {"sum": 4})
    bad = run(python('print(\'{"sum": "four"}\')'), task)
    assert bad.error is not None
    assert (bad.error.code, bad.data, bad.metadata["attempts"]) == ("invalid_output", None, 1)
    assert "$.sum" in bad.error.why


def test_a_program_that_is_not_installed_is_told() -> None:
    """Its name and what to do, and nothing was spent."""
    result = run(["no-such-program"])
    assert result.error is not None
    assert (result.error.code, result.cost, result.metadata["attempts"]) == ("missing_extra", 0, 0)


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    """A file that the system refuses to run is an error of the task, not of the process that asked."""
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    result = run([str(broken)])
    assert result.error is not None
    assert (result.error.code, result.cost) == ("workspace", 0)


def test_cancelling_many_ends_all_their_programs(tmp_path: Path) -> None:
    """Nothing runs on when the caller has gone, though it ignores TERM; no folder stays either."""
    log = tmp_path / "pids"
    agents = AgentRegistry()
    agents.register_agent("tool", "dev", "cli", command=python(STUBBORN, str(log), grace=0.2))

    async def go() -> None:
        tasks = [AgentTask(f"task {number}") for number in range(6)]
        work = asyncio.create_task(TaskExecutor(agents, environ=PATH).execute_parallel(tasks, limit=3))
        await asyncio.to_thread(wait_for, log, 9)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(go())
    assert len(pids(log)) == 9
    assert gone(log)
    worked_in = set((tmp_path / "pids.folders").read_text().split())
    assert worked_in
    assert not any(Path(folder).exists() for folder in worked_in)


def test_a_cancel_while_a_program_is_being_ended_is_not_lost(tmp_path: Path) -> None:
    """It falls into the time between TERM and KILL: the program is ended first, and then the caller is cancelled."""
    log = tmp_path / "pids"
    agents = AgentRegistry()
    agents.register_agent("tool", "dev", "cli", command=python(STUBBORN, str(log), timeout=1.5, grace=1.5))

    async def go() -> None:
        work = asyncio.create_task(TaskExecutor(agents, environ=PATH).execute(AgentTask("p")))
        await asyncio.sleep(2.2)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(go())
    assert len(pids(log)) == 3
    assert gone(log)


def test_many_programs_run_at_once_within_the_limit(tmp_path: Path) -> None:
    """The results stand in the tasks' order, failures among them, and no more than the limit run together."""
    source = (
        "import os, sys, time\n"
        "number = int(sys.stdin.read())\n"
        "open(f'{sys.argv[1]}/{os.getpid()}', 'w').close()\n"
        "together = len(os.listdir(sys.argv[1]))\n"
        "time.sleep(0.1 if number % 2 else 0.02)\n"
        "os.remove(f'{sys.argv[1]}/{os.getpid()}')\n"
        "sys.exit('odd') if number == 3 else print(number, together)\n"
    )
    agents = AgentRegistry()
    agents.register_agent("tool", "dev", "cli", command=python(source, str(tmp_path)))
    tasks = [AgentTask(str(number), task_id=f"t{number}") for number in range(12)]
    results = TaskExecutor(agents, environ=PATH).execute_parallel_sync(tasks, limit=4)
    assert [result.task_id for result in results] == [task.task_id for task in tasks]
    assert [result.success for result in results] == [number != 3 for number in range(12)]
    said = [tuple(map(int, result.output.split())) for result in results if result.success]
    assert [number for number, _ in said] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert 1 < max(together for _, together in said) <= 4


def test_a_recorded_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    """With a ledger a program that has answered a task is not started for it a second time; a failure is."""
    count = tmp_path / "count"
    source = "import sys; open(sys.argv[1], 'a').write('x'); print('Four.')"
    ledger = MemoryCallLedger()
    first = run(python(source, str(count)), AgentTask("2 + 2?", task_id="sum"), ledger=ledger)
    again = run(python(source, str(count)), AgentTask("2 + 2?", task_id="sum"), ledger=ledger)
    assert (first.output, again.output, count.read_text()) == ("Four.", "Four.", "x")
    assert (first.metadata["recorded"], again.metadata["recorded"], again.metadata["attempts"]) == (False, True, 0)
    assert [(row.key, row.outcome, row.charged) for row in ledger.rows] == [("sum/cli", "done", None)]
    other = run(python(source, str(count)), AgentTask("3 + 3?", task_id="sum"), ledger=ledger)
    assert other.error is not None
    assert other.error.code == "call_conflict"


def test_under_a_budget_nothing_is_started_whose_cost_nobody_knows(tmp_path: Path) -> None:
    """An unknown price is unknown, never 0."""
    mark = tmp_path / "started"
    result = run(
        python(f"open({str(mark)!r}, 'w')"), AgentTask("p", task_id="t"), ledger=MemoryCallLedger(budget=10**9)
    )
    assert result.error is not None
    assert (result.error.code, mark.exists(), result.cost) == ("unknown_price", False, 0)


def test_no_handle_stays_open() -> None:
    """Forty tasks leave as many open files as there were before."""
    run(python("print(1)"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        run(python("print(1)"))
        run(["no-such-program"])
        run(python("import sys; sys.exit(1)"))
        run(python("import time; time.sleep(60)", timeout=0.05, grace=0.05))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_secret_goes_in_by_its_variable_alone() -> None:
    """The key itself reaches the program, whole."""
    check = "import hashlib, os; print(hashlib.sha256(os.environ['TOOL_KEY'].encode()).hexdigest()[:12])"
    result = run(python(check, environ=(), credential_variable="TOOL_KEY"), key=Secret(KEY))
    assert result.output == Secret(KEY).fingerprint


CROWDED = """
import os, resource, sys
from orchestrator_v2.tasks.agent_registry import AgentRegistry
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.task_executor import TaskExecutor

agents = AgentRegistry()
agents.register_agent("cat", "dev", "cli", command=["cat"])
executor = TaskExecutor(agents, environ={"PATH": "/usr/bin:/bin"})
executor.execute_sync(AgentTask("warm"))
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
before = len(os.listdir("/proc/self/fd"))
crowd = executor.execute_parallel_sync([AgentTask(str(number)) for number in range(60)], limit=60)
print(sorted({result.error.code if result.error else "ok" for result in crowd}))
print(all(result.success for result in executor.execute_parallel_sync([AgentTask("a"), AgentTask("b")])))
print(len(os.listdir("/proc/self/fd")) - before)
"""


def test_a_process_without_room_for_more_files_fails_single_tasks() -> None:
    """What cannot be started is a failed task; the others go on, nothing leaks, and later ones work again."""
    done = subprocess.run([sys.executable, "-c", CROWDED], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["['ok', 'workspace']", "True", "0"], done.stderr
