"""From what a person writes for a model to a provider and a name: `provider/model`, a model's name, or an alias.

What the name resolves to, and whether there is such a model, is `catalog.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from orchestrator_v2.llm.catalog import Catalog, ProviderRow


def named_model(catalog: Catalog, providers: Collection[str], name: str, *, preferred: str) -> tuple[str, str]:
    """(provider, model). A name that several providers have, or none, is taken as the `preferred` provider's."""
    first, slash, rest = name.partition("/")
    if slash and (first in catalog or first in providers):
        return first, rest
    return owner_of(catalog, name, preferred=preferred), name


def owner_of(catalog: Catalog, model: str, *, preferred: str) -> str:
    """The provider whose model or alias that is; the preferred one where several or none have it."""
    own = catalog.get(preferred, ProviderRow())
    if model in own.models or model in own.aliases:
        return preferred
    owners = [name for name, row in catalog.items() if model in row.models or model in row.aliases]
    return owners[0] if len(owners) == 1 else preferred
