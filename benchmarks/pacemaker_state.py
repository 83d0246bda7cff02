# SPDX-License-Identifier: Apache-2.0
"""What Pacemaker says of its cluster."""

from xml.etree import ElementTree


class State:
    """What crm_mon shows.

    :param text: its XML; without it there is no cluster
    :raises ValueError: it is none
    """

    def __init__(self, text: str = '<none/>') -> None:
        try:
            tree = ElementTree.fromstring(text)
        except ElementTree.ParseError as exc:
            raise ValueError('crm_mon gave no XML') from exc
        nodes = tree.findall('./nodes/node')
        self.online = sum(
            n.get('online') == 'true' and n.get('pending') == 'false'
            and n.get('unclean') == 'false' for n in nodes)
        quorum = tree.find('./summary/current_dc')
        self.quorum = quorum is not None and (
            quorum.get('with_quorum') == 'true')
        self._resources = tree.findall('./resources//resource')

    def place(self) -> str:
        """Server that has all resources but the fencing device, or ''."""
        found = set()
        for resource in self._resources:
            if resource.get('failed') == 'true' or (
                    resource.get('role') != 'Started'):
                return ''
            if not str(resource.get('resource_agent')).startswith('stonith'):
                found |= {str(n.get('name')) for n in resource.iter('node')}
        return found.pop() if len(found) == 1 else ''
