# SPDX-License-Identifier: Apache-2.0
"""Rules about files that hold passwords: who may read and write them."""

from collections.abc import Iterator

from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

_OTHERS_READ = 0o004
_OTHERS_WRITE = 0o002


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what is wrong with the services' own files."""
    for path, reason in site.unread:
        yield Finding(Severity.ERROR, 'unreadable', path, '', '',
                      f'cannot be read: {reason}',
                      'name an existing file that can be parsed, and run '
                      'the check as a user who may read it')
    for state in site.files:
        yield from access(state, 'file-access', Severity.WARNING)


def access(state: model.FileState, rule: str,
           open_to_all: Severity) -> Iterator[Finding]:
    """Yield what is wrong with the access to one file.

    :param open_to_all: how bad it is if everybody may read it
    """
    def say(severity: Severity, what: str, remedy: str) -> Finding:
        return Finding(severity, rule, state.path, '', '', what, remedy)

    owner = state.judged_as or state.service
    if not state.exists:
        yield say(Severity.ERROR, 'does not exist',
                  f'install it, readable by {owner}')
        return
    if not state.readable:
        yield say(Severity.ERROR, f'{owner} may not read it',
                  f'chgrp {state.service} {state.path}; chmod 0640 '
                  f'{state.path}; directories above it need x for {owner}')
    if state.mode & _OTHERS_WRITE:
        yield say(Severity.ERROR,
                  f'anybody on this machine may change it ({state.mode:04o})',
                  f'chmod 0640 {state.path}')
    if state.mode & _OTHERS_READ:
        yield say(open_to_all,
                  f'anybody on this machine may read it ({state.mode:04o}), '
                  'and what it holds opens other doors',
                  f'chgrp {state.service} {state.path}; '
                  f'chmod 0640 {state.path}')
