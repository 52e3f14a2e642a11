"""What callers send: Pydantic bodies that take no field they do not know.

What is answered is `answers.py`; what a wish means is the service's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.service.wishes import Wish

# No control characters: they are in no name, and NUL is in no database.
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
ModelName = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/@+-]*$")]
ProviderName = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z0-9_-]+$")]


def _is_whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    return text


def _whole_number(value: object) -> object:
    """JSON knows one kind of number: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Prose = Annotated[str, Field(max_length=1_000_000, pattern=r"^[^\x00]*$"), AfterValidator(_is_whole)]
ModelPattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@+*?\[\]!-]+$")]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Body(BaseModel):
    """Strict: 0 is no false, and "1" no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProjectBody(Body):
    """A project to be. Without a brief the name is the brief. `budget` is in US dollars; empty: no ceiling."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"project_name": "My Project"},
                {
                    "project_name": "Pomodoro",
                    "brief": "A pomodoro timer with statistics and CSV export",
                    "mode": "auto",
                    "budget": 2.5,
                    "agent_assignments": {"qa": "openai/gpt-6-luna"},
                },
            ]
        },
    )

    project_name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
    brief: Prose = Field("", description="What is to be built, in words.")
    description: Prose = Field("", description="The same as `brief`, which wins where both are given.")
    workflow: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        "default", description="A built-in workflow's name; see /workflows."
    )
    workflow_yaml: Prose = Field("", description="A workflow of your own, as YAML; it wins over `workflow`.")
    mode: Literal["auto", "simulated", "real"] = Field(
        "auto", description="auto: real where you have stored a key, else simulated. Settled at the start."
    )
    provider: Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_-]*$")] = ""
    model: ModelName = ""
    budget: Dollars | None = Field(None, description="The most that a run may cost, in US dollars.")
    review: Literal["agent", "human"] = Field("agent", description="Who decides the reviews.")
    answers: dict[Line, Prose] = Field({}, max_length=50, description="Answers to the intake's questions.")
    agent_assignments: dict[Line, ModelName] = Field(
        {}, max_length=20, description="Agent to `provider/model`, for agents with a model of their own."
    )
    parallelism: Annotated[int, Field(ge=0, le=64), BeforeValidator(_whole_number)] = Field(
        0, description="Tasks at once; 0: the server's default."
    )
    batch: bool = Field(False, description="Send model calls by the provider's batch lane: cheaper, within a day.")
    run: bool = Field(True, description="Start the first run at once.")

    def wish(self) -> Wish:
        return Wish(
            name=self.project_name.strip(),
            brief=(self.brief or self.description).strip(),
            workflow=self.workflow_yaml or self.workflow,
            mode=self.mode,
            provider=self.provider,
            model=self.model,
            budget=None if self.budget is None else nano_usd(self.budget),
            review=self.review,
            answers=self.answers,
            assignments=self.agent_assignments,
            parallelism=self.parallelism,
            batch=self.batch,
        )


class ProviderSettingsBody(Body):
    """A key for one provider. It is sealed at once and never shown again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"llm_provider": "anthropic", "api_key": "sk-ant-…", "label": "work"}]},
    )

    llm_provider: ProviderName
    api_key: SecretStr = Field(SecretStr(""), max_length=4_096)
    base_url: Annotated[str, Field(max_length=500, pattern=r"^[\x21-\x7e]*$")] = Field(
        "", description="A server that speaks the provider's protocol; the key is bound to it."
    )
    default_model: ModelName = ""
    label: Line = ""


class ProviderTestBody(Body):
    llm_provider: ProviderName
    model: ModelName = ""


class UserBody(Body):
    """A user to be; budgets are US dollars a UTC day or month. `sees`: whose projects a viewer looks at."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
    role: Literal["admin", "developer", "viewer"] = "developer"
    models: list[ModelPattern] = Field([], max_length=100, description="Patterns of provider/model; empty: all.")
    daily_budget: Dollars | None = None
    monthly_budget: Dollars | None = None
    sees: Line = ""


class UserChange(Body):
    """What is to be different; a field that is left out stays."""

    role: Literal["admin", "developer", "viewer"] | None = None
    disabled: bool | None = None
    models: list[ModelPattern] | None = Field(None, max_length=100)
    daily_budget: Dollars | None = None
    monthly_budget: Dollars | None = None
    sees: Line | None = None


class AgentModelsBody(Body):
    """Which model each agent has in projects to come, as `provider/model`; what is left out has the run's."""

    agents: dict[Line, ModelName] = Field(max_length=20)


class TokenBody(Body):
    label: Line = ""
    days: Annotated[float, Field(gt=0, le=3_660, allow_inf_nan=False)] | None = Field(
        None, description="How long it holds; empty: until it is dropped."
    )


class ReviewBody(Body):
    """A decision on what waits for a person, bound to the content hash that was seen (`reviews` of the status)."""

    decision: Literal["approve", "reject"]
    content: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
    reason: Prose = Field("", description="Why it is rejected; goes into the prompt of the next round.")
    phase: Line = ""


class RollbackBody(Body):
    """Back to before `phase`, with files put in place of what earlier phases made."""

    phase: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    files: dict[Annotated[str, Field(min_length=1, max_length=1_024)], Prose] = Field({}, max_length=100)


class EditBody(Body):
    """A person's own text in a file's place while its review waits; `seen` is the hash of the file that was edited."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"path": "docs/intake.md", "content": "# Intake\n", "seen": "0" * 64}]},
    )

    path: Annotated[str, Field(min_length=1, max_length=1_024)]
    content: Prose
    seen: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]


class RetryBody(Body):
    phase: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ResumeBody(Body):
    budget: Dollars | None = Field(None, description="A new ceiling for the run, in US dollars.")
