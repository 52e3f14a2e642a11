"""Users' own keys, sealed at rest. `bootstrap` opens this package; everyone else sees `Keyring` of core/accounts.py.

Where the sealed bytes are kept is `persistence`.
"""
