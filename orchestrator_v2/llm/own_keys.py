"""Which environment variables a user's own row may have sent to its server: those that bear the provider's name.

The rows themselves are `own_rows.py`; where the values are found is `auth.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator_v2.llm.catalog import Catalog, ProviderRow

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,90}(?:_API_KEY|_KEY|_TOKEN)")


def wrong_variable(provider: str, variables: Iterable[str], packaged: Catalog) -> str:
    """What is wrong with the first variable that `provider`'s row may not name; empty where all may be named.

    The words never hold what was written: it may be the key itself.
    """
    row = packaged.get(provider, ProviderRow())
    own = {*row.keys, *row.oauth_keys}
    begins = (_capitals(provider), *(f"{variable.partition('_')[0]}_" for variable in sorted(own)))
    for place, variable in enumerate(variables, 1):
        if variable not in own and not (_NAME.fullmatch(variable) and variable.startswith(begins)):
            return (
                f"entry {place} is no variable of {provider}: it begins with {begins[0]} and ends in _API_KEY, _KEY or "
                "_TOKEN, for a key goes to its own provider alone"
            )
    return ""


def _capitals(provider: str) -> str:
    return re.sub("[^A-Z0-9]", "_", provider.upper()) + "_"
