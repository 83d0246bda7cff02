# SPDX-License-Identifier: Apache-2.0
"""How findings are shown: to people, and to programs."""

from collections.abc import Sequence
import json
import textwrap

from cinder_tagged.check import model

_WIDTH = 79
_INDENT = ' ' * 9
_PLURAL = {model.Severity.ERROR: ('error', 'errors'),
           model.Severity.WARNING: ('warning', 'warnings'),
           model.Severity.INFO: ('note', 'notes')}


def where(finding: model.Finding) -> str:
    """Return the place as ``FILE [group] option``."""
    group = f'[{finding.group}]' if finding.group else ''
    return ' '.join(filter(None, (finding.path, group, finding.option)))


def as_text(findings: Sequence[model.Finding],
            looked_at: Sequence[str]) -> str:
    """Return findings for people, and a last line that sums them up."""
    blocks = [_block(finding) for finding in findings]
    counts = ', '.join(
        f'{number} {_PLURAL[severity][number != 1]}'
        for severity in sorted(model.Severity, reverse=True)
        for number in [sum(f.severity == severity for f in findings)])
    files = ', '.join(looked_at) or 'nothing'
    return '\n'.join([*blocks, f'{counts}; looked at {files}'])


def _block(finding: model.Finding) -> str:
    lines = [f'{finding.severity.name:<9}{where(finding)}',
             *_wrapped(finding.what, _INDENT)]
    if finding.remedy:
        lines += _wrapped(finding.remedy, f'{_INDENT}-> ')
    return '\n'.join([*lines, ''])


def _wrapped(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first,
        subsequent_indent=' ' * len(first), break_long_words=False,
        break_on_hyphens=False)


def as_json(findings: Sequence[model.Finding],
            looked_at: Sequence[str]) -> str:
    """Return findings for programs."""
    return json.dumps({
        'looked_at': list(looked_at),
        'counts': {severity.name.lower(): sum(f.severity == severity
                                              for f in findings)
                   for severity in model.Severity},
        'findings': [{
            'severity': f.severity.name.lower(), 'rule': f.rule,
            'file': f.path, 'group': f.group, 'option': f.option,
            'what': f.what, 'remedy': f.remedy} for f in findings],
    }, indent=2)
