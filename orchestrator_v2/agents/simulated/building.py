"""Development: the source of the project, one plan step for each group of modules.

What is built is the `Spec` that `upstream.py` reads; the words of the code are templates.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.rendering import Renderer, load_renderer
from orchestrator_v2.agents.simulated.spec import Built, Spec
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import read_spec

_FOUNDATION = {"__init__.py": "init.py", "errors.py": "errors.py", "models.py": "models.py"}
_STORAGE = {"codec.py": "codec.py", "storage.py": "storage.py"}
_INTERFACE = {"__main__.py": "main.py", "app.py": "app.py", "cli.py": "cli.py", "views.py": "views.py"}


def develop(work: Work) -> list[SimulatedStep]:
    """The package in four steps: foundation, storage, services, command line."""
    spec = read_spec(work.brief, work.answers, work.inputs)
    renderer = load_renderer()
    folder = f"src/{spec.package}"
    files = {f"{folder}/{path}": text for path, text in _modules(spec, renderer).items()}
    project = {"pyproject.toml": renderer.file("developer", "pyproject.toml", spec=spec)}
    foundation = project | _render(_FOUNDATION, folder, spec, renderer)
    services = {path: text for path, text in files.items() if "/services/" in path}
    commands = {path: text for path, text in files.items() if "/commands/" in path}
    kinds = f"{clean.counted(len(spec.entities), 'kind')} of record: {', '.join(one.cls for one in spec.entities)}."
    titles = ", ".join(cap.title for cap in spec.modules)
    return [
        _step(
            "Project, records and errors",
            kinds,
            foundation,
        ),
        _step("Storage", "One JSON file, replaced as a whole.", _render(_STORAGE, folder, spec, renderer)),
        _step("Services", f"{clean.counted(len(spec.modules), 'module')}: {titles}.", services),
        _step("Command line", "Commands for every service.", _render(_INTERFACE, folder, spec, renderer) | commands),
    ]


def _step(title: str, summary: str, files: dict[str, str]) -> SimulatedStep:
    return SimulatedStep(title, summary, files)


def _render(names: dict[str, str], folder: str, spec: Spec, renderer: Renderer) -> dict[str, str]:
    return {f"{folder}/{path}": renderer.file("developer", name, spec=spec) for path, name in names.items()}


def _modules(spec: Spec, renderer: Renderer) -> dict[str, str]:
    files = {
        "services/__init__.py": _package_docstring("What the program does, one module for each part.", spec.modules),
        "commands/__init__.py": _package_docstring("The command line's commands, one module for each service.", ()),
    }
    for cap in spec.modules:
        values = {"spec": spec, "pkg": spec.package, "e": cap.e, "other": cap.other}
        name = f"capabilities/{cap.module}.py"
        files[f"services/{cap.module}.py"] = renderer.block("developer", name, "service", **values)
        files[f"commands/{cap.module}.py"] = renderer.block("developer", name, "command", **values)
    return files


def _package_docstring(words: str, modules: Iterable[Built]) -> str:
    lines = [
        part for cap in modules for part in textwrap.wrap(f"- {cap.module}: {cap.about}", 116, subsequent_indent="  ")
    ]
    return f'"""{words}\n\n' + "\n".join(lines) + '\n"""\n' if lines else f'"""{words}"""\n'
