"""What can be set, each with its default, limits and one sentence: plain data that is cheap to import.

Where values come from, and which wins, is `loader.py`; what a setting means is known to who uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Mode = Literal["auto", "simulated", "real"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds, money is in US dollars, paths are absolute once loaded."""

    data_dir: Annotated[Path, Meta(description="Where runs are kept. Empty: the XDG data home, in `orchestrator`.")]
    database_url: Annotated[
        str, Meta(description="sqlite:/// or postgresql:// address of the journal. Empty: SQLite in data_dir.")
    ] = ""
    mode: Annotated[Mode, Meta(description="simulated, real, or auto: real where a key is found.")] = "simulated"
    provider: Annotated[str, Meta(min_length=1, description="The provider of real mode.")] = "anthropic"
    model: Annotated[str, Meta(description="The model. Empty: the provider's default.")] = ""
    base_url: Annotated[str, Meta(description="A server that speaks the provider's protocol. Empty: its own.")] = ""
    models_file: Annotated[
        Path | None,
        Meta(description="Own prices, models and vendors. Empty: models.toml beside config.toml, if it is there."),
    ] = None
    budget_usd: Annotated[float | None, Meta(ge=0, description="The ceiling of a run's cost. Empty: none.")] = None
    parallelism: Annotated[int, Meta(ge=1, le=256, description="How many tasks of a run go on at once.")] = 4
    requests_per_minute: Annotated[
        int | None, Meta(ge=1, description="The most calls on one key in any minute. Empty: what the provider allows.")
    ] = None
    tokens_per_minute: Annotated[
        int | None, Meta(ge=1, description="The most tokens on one key in any minute. Empty: what the provider allows.")
    ] = None
    retry_max_attempts: Annotated[int, Meta(ge=1, le=20, description="Tries of a model call, the first included.")] = 3
    retry_initial: Annotated[float, Meta(ge=0, le=600, description="The first wait between two tries.")] = 2.0
    retry_factor: Annotated[float, Meta(ge=1, le=10, description="What each further wait is multiplied by.")] = 2.0
    retry_max_delay: Annotated[float, Meta(ge=0, le=3600, description="The longest wait between two tries.")] = 60.0
    durability: Annotated[
        Literal["full", "normal"],
        Meta(description="full: a committed step outlives a power cut; normal: only the process's own end."),
    ] = "full"
    sandbox_timeout: Annotated[float, Meta(gt=0, le=3600, description="Wall clock of one sandboxed command.")] = 120.0
    log_level: Annotated[LogLevel, Meta(description="debug, info, warning or error.")] = "warning"
    log_dir: Annotated[Path | None, Meta(description="Where log files are written. Empty: `logs` in data_dir.")] = None
    log_prompts: Annotated[bool, Meta(description="Whether prompts and answers are logged, redacted.")] = False
    traces: Annotated[
        Literal["off", "otlp"],
        Meta(description="otlp: OpenTelemetry spans go where the OTEL_* variables of the environment say."),
    ] = "off"

    durable: Annotated[
        Literal["embedded", "temporal"],
        Meta(description="Who drives runs: embedded, this process; temporal, workers anywhere, over PostgreSQL."),
    ] = "embedded"
    temporal_address: Annotated[str, Meta(min_length=1, description="Temporal's frontend, as host:port.")] = (
        "127.0.0.1:7233"
    )
    temporal_namespace: Annotated[str, Meta(min_length=1, description="Temporal's namespace.")] = "default"
    temporal_task_queue: Annotated[
        str, Meta(min_length=1, max_length=200, description="The queue that servers fill and workers empty.")
    ] = "orchestrator"
    temporal_tls: Annotated[bool, Meta(description="Whether Temporal is reached by TLS; the files below mean it.")] = (
        False
    )
    temporal_ca_file: Annotated[
        Path | None,
        Meta(description="Whom Temporal's certificate is checked against. Empty: the system's own."),
    ] = None
    temporal_cert_file: Annotated[Path | None, Meta(description="The certificate shown to Temporal (mTLS).")] = None
    temporal_key_file: Annotated[Path | None, Meta(description="The key of that certificate.")] = None
    temporal_api_key_file: Annotated[Path | None, Meta(description="A file that holds Temporal's API key.")] = None

    host: Annotated[str, Meta(min_length=1, description="Where the server listens.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="The server's port; 0 takes a free one.")] = 8000
    allowed_hosts: Annotated[
        str, Meta(description="Names by which the server may be called, comma separated, beside this machine's own.")
    ] = ""
    model_origins: Annotated[
        str,
        Meta(
            description="Model servers that the server's users may name though they are on this machine or network, and"
            " that keys may be sent to by a project's file; comma separated, such as http://localhost:11434."
        ),
    ] = ""
    runs_at_once: Annotated[int, Meta(ge=1, le=256, description="How many runs the server drives at once.")] = 4
    runs_per_user: Annotated[
        int, Meta(ge=1, le=10_000, description="How many runs of a user may be under way or wait for their turn.")
    ] = 50
    requests_per_user: Annotated[int, Meta(ge=1, le=10_000, description="Requests of a user in flight at once.")] = 64
    streams_per_user: Annotated[int, Meta(ge=1, le=100_000, description="Event streams of a user at once.")] = 1_000

    @property
    def database(self) -> str:
        """The address of the journal, worked out: `database_url`, or SQLite in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir / 'orchestrator.db'}"
