"""A project's configuration as others use it: the model of a run or an agent with its key, and where each word stands.

How it is found and laid over the settings is `loader.py`, which place wins is `choosing.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator_v2.config.choosing import Chooser, Chosen, Shares, call
from orchestrator_v2.config.layers import Level, Source
from orchestrator_v2.config.loader import LoadedSettings, inspect_settings, problems_error
from orchestrator_v2.config.model_keys import ModelKeys, listed_origins
from orchestrator_v2.config.problems import Problem, as_error
from orchestrator_v2.config.project_checks import key_problems
from orchestrator_v2.config.project_file import Project, is_own
from orchestrator_v2.core.workflow import ModelChoice
from orchestrator_v2.llm.chosen import ChosenModel


class ProjectConfig(msgspec.Struct, frozen=True):
    """A project's files over the settings that they were loaded with. Without any file it is the settings alone."""

    loaded: LoadedSettings

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        home: Path | None = None,
    ) -> ProjectConfig:
        """The configuration in `path`, or the one that is found from `cwd` upwards.

        Raises `ConfigError` with everything that is wrong with it, each fault with its file, line and key.
        """
        loaded, problems = inspect_settings(
            {},
            os.environ if environ is None else environ,
            cwd or Path.cwd(),
            home or Path.home(),
            project_path=None if path is None else Path(path),
        )
        if loaded.project_problems:
            raise as_error(loaded.project_problems)
        if problems or loaded.model_problems:
            raise problems_error([*problems, *loaded.model_problems])
        return cls(loaded)

    @property
    def project(self) -> Project | None:
        return self.loaded.project

    @property
    def path(self) -> Path | None:
        """The project's file; None where there is none."""
        project = self.loaded.project
        return project.document.path if project is not None and project.document is not None else None

    @property
    def chooser(self) -> Chooser:
        return Chooser(self.loaded.settings, self.loaded.sources, self.loaded.project)

    @property
    def keys(self) -> ModelKeys:
        loaded, settings = self.loaded, self.loaded.settings
        return ModelKeys(
            loaded.keys,
            loaded.sources,
            loaded.catalog,
            settings.provider,
            settings.base_url,
            listed_origins(settings.model_origins),
            loaded.project.dotenv if loaded.project is not None and _has_own_dotenv(loaded.project) else "",
        )

    def get_agent_llm_config(self, agent: str = "", *, provider: str = "", model: str = "") -> ChosenModel:
        """The model of that agent (a role or an alias such as `winston`; empty: the run's), with its key.

        `provider` and `model` are a call's own words and win. Raises `UnknownNameError` for an agent, and `ConfigError`
        for a key that is not set or may not be sent to where the model is reached.
        """
        chosen = self.choose(agent, call(provider, model))
        faults = self.key_problems(chosen)
        if faults:
            raise as_error(faults)
        return self._with_key(chosen.model, chosen.agent, chosen.sources)

    def choose(self, agent: str = "", above: Sequence[Level] = ()) -> Chosen:
        """The same in names, without keys; `above` are a call's own levels. Raises `UnknownNameError`."""
        return self.chooser.choose(agent, above)

    def agents(self) -> list[str]:
        """The roles of which something is said for them alone."""
        return self.chooser.agents()

    def shares(self) -> Shares:
        return self.chooser.shares()

    def word(self, name: str) -> str:
        """A plain word of the project's file, such as `mode`; empty where it is not there."""
        return self.chooser.word(name)

    def key_problems(self, chosen: Chosen) -> list[Problem]:
        """What is wrong with the keys of that model and of its fallbacks: not set, or not for that server."""
        return key_problems(self.chooser, self.keys, chosen)

    def problems(self) -> list[Problem]:
        """Everything that is wrong with the project's files, keys included."""
        found = list(self.loaded.project_problems)
        for role in ("", *self.agents()):
            found += self.key_problems(self.choose(role))
        cheaper = self.shares().cheaper
        if cheaper is not None and self.project is not None and self.project.document is not None:
            document = self.project.document
            at = Source("project", document.shown, document.line(("budget", "downgrade_to")), "budget.downgrade_to")
            found += self.key_problems(Chosen("", cheaper, {"provider": at}))
        once = {(it.file, it.line, it.key, it.reason): it for it in reversed(found)}
        return sorted(once.values(), key=lambda it: (it.file, it.line, it.key))

    def _with_key(self, choice: ModelChoice, agent: str, sources: Mapping[str, Source]) -> ChosenModel:
        return ChosenModel(
            self.keys.config(choice),
            agent,
            choice.key,
            choice.reasoning,
            choice.search,
            tuple(self._with_key(spare, agent, {}) for spare in choice.fallbacks),
            {field: str(source) for field, source in sources.items()},
        )


def _has_own_dotenv(project: Project) -> bool:
    return is_own(project.folder / ".env", project.folder)
