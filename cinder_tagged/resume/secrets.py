# SPDX-License-Identifier: Apache-2.0
"""Tokens in the journal: encrypted, or not kept at all."""

import functools
from pathlib import Path

from cryptography import fernet
from oslo_config import cfg

from cinder_tagged import exceptions
from cinder_tagged.resume import options

CONF = cfg.CONF


@functools.lru_cache(maxsize=4)
def _cipher(path: str) -> fernet.Fernet:
    try:
        return fernet.Fernet(Path(path).read_bytes().strip())
    except (OSError, ValueError) as error:
        raise exceptions.CinderTaggedError(
            f'[resume] token_key_file = {path}: {error}; make the file with '
            '"cinder-tagged-resume key" and let the services read it'
        ) from None


def _key_file() -> str | None:
    options.register(CONF)
    path: str | None = CONF.resume.token_key_file
    return path


def check() -> None:
    """Refuse a key file that cannot be used, before anything starts.

    :raises CinderTaggedError: naming option, value and remedy
    """
    if path := _key_file():
        _cipher(path)


def seal(token: str | None) -> str | None:
    """Return what of a token may be written down; None without a key."""
    path = _key_file()
    if not token or not path:
        return None
    return _cipher(path).encrypt(token.encode()).decode()


def unseal(sealed: str | None) -> str | None:
    """Return the token again; None where there is none or the key changed."""
    path = _key_file()
    if not sealed or not path:
        return None
    try:
        return _cipher(path).decrypt(sealed.encode()).decode()
    except fernet.InvalidToken:
        return None
