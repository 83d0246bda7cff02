# SPDX-License-Identifier: Apache-2.0
"""The agent's UNIX socket and its Prometheus endpoint."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
import socket
import socketserver
import threading
import time
from typing import Any
from typing import TYPE_CHECKING

from oslo_log import log as logging
import prometheus_client
from prometheus_client import core as metrics

from cinder_tagged.ha import agent as agents
from cinder_tagged.ha import status
from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import observe

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger(__name__)

#: Seconds that a command waits for the deciding thread.
ANSWER = 5.0
# How a switch that was asked for can end without one.
_REFUSALS = ('refused', 'rolled_back')


class Failed(Exception):
    """The request cannot be carried out; the text is for its sender."""


def ask(path: str, request: dict[str, Any], timeout: float) -> Any:
    """Send one request to an agent; :raises Failed: with a remedy."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
            client.sendall(json.dumps(request).encode() + b'\n')
            with client.makefile() as source:
                answer = json.loads(source.readline())
    except (OSError, ValueError) as exc:
        raise Failed(f'no agent answers on {path}: {exc}; is the service '
                     'cinder-tagged-ha running, and may you write to the '
                     'socket?') from exc
    if 'error' in answer:
        raise Failed(answer['error'])
    return answer['result']


class Control:
    """Serve requests; decisions stay in the deciding thread."""

    def __init__(self, agent: agents.Agent) -> None:
        self._agent = agent
        path = agent.conf.ha.control_socket
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            os.unlink(path)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                try:
                    request = json.loads(self.rfile.readline(65536))
                    answer = {'result': outer.serve(request)}
                except Failed as exc:
                    answer = {'error': str(exc)}
                except (ValueError, KeyError, TypeError) as exc:
                    answer = {'error': f'bad request: {exc!r}'}
                self.wfile.write(json.dumps(answer).encode() + b'\n')

        mask = os.umask(0o177)
        try:
            self._server = socketserver.ThreadingUnixStreamServer(
                path, Handler)
        finally:
            os.umask(mask)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True,
                         name='control').start()

    def close(self) -> None:
        self._server.shutdown()
        os.unlink(self._agent.conf.ha.control_socket)

    def inside(self, call: Callable[[], Any]) -> Any:
        """Run ``call`` in the deciding thread and return its result."""
        done = threading.Event()
        box: list[Any] = []

        def task() -> None:
            box.append(call())
            done.set()
        self._agent.post(task)
        if not done.wait(ANSWER):
            raise Failed(f'the agent did not decide for {ANSWER:g} s')
        return box[0]

    def serve(self, request: dict[str, Any]) -> Any:
        """Carry out one request."""
        verb = request['verb']
        agent = self._agent
        if verb == 'status':
            return self.inside(lambda: status.as_json(agent))
        if verb in ('standby', 'resume'):
            agent.feed(observe.Operator(verb))
            return self.inside(lambda: status.as_json(agent))
        if verb == 'switch':
            return self.switch(request['role'], request['target'],
                               bool(request.get('broadcast')),
                               float(request.get('wait', 10)))
        raise Failed(f'unknown request {verb!r}')

    def switch(self, role: str, target: str, broadcast: bool,
               wait: float) -> dict[str, Any]:
        """Move ``role`` to ``target``; back within ``wait`` s."""
        agent = self._agent
        if role not in agent.effects.roles:
            raise Failed(f'there is no role {role}; there are: '
                         + ', '.join(agent.effects.roles))
        if target not in agent.members:
            raise Failed(f'there is no member {target}; there are: '
                         + ', '.join(agent.members))
        begin = time.monotonic()
        before = self.inside(lambda: status.as_json(agent))['roles'][role]
        if before['holder'] == target:
            return {'moved': False, 'holder': target,
                    'epoch': before['epoch']}
        newest = agent.history.newest
        older = {event: newest.get(event) for event in _REFUSALS}
        self._wish(role, target, broadcast, before['holder'])
        while time.monotonic() < begin + wait:
            time.sleep(0.02)
            now = self.inside(lambda: status.as_json(agent))['roles'][role]
            if now['holder'] == target and now['epoch'] > before['epoch'] \
                    and now['configured_for'] == now['epoch']:
                return {'moved': True, 'holder': target,
                        'epoch': now['epoch'],
                        'seconds': round(time.monotonic() - begin, 3)}
            if newest.get('refused') is not older['refused']:
                break
        for event in _REFUSALS:
            entry = newest.get(event)
            if entry is not None and entry is not older[event]:
                raise Failed(f'{role} stays on {before["holder"]}: '
                             f'{entry.get("why")}')
        raise Failed(
            f'{role} is not on {target} after {wait:g} s; '
            f'"cinder-tagged-ha history" on {before["holder"] or "any node"}'
            ' says why')

    def _wish(self, role: str, target: str, broadcast: bool,
              holder: str) -> None:
        agent = self._agent
        if holder == agent.name:
            agent.feed(observe.Operator('switch', role, target, broadcast))
        elif holder in agent.members:
            message = messages.Switch(role, target, broadcast)
            agent.post(lambda: agent.effects.perform(
                act.Send((holder,), message), agent.engine.node))
        else:
            raise Failed(f'nobody holds {role}; it is taken by itself as '
                         'soon as a node is fit for it')


class Collector:
    """Prometheus metrics, read from the state when asked."""

    def __init__(self, agent: agents.Agent, control: Control) -> None:
        self._agent, self._control = agent, control

    def collect(self) -> Iterator[Any]:
        """Yield metric families."""
        seen = self._control.inside(
            lambda: status.as_json(self._agent))
        yield _gauge('eligible', 'This node may control.',
                     seen['eligible'])
        yield _gauge('etcd_ok', 'etcd answers.', seen['etcd'] == 'ok')
        live = [s for s in seen['members'].values() if s == 'live']
        yield _gauge('live_peers', 'Peers that are heard.', len(live))
        for name, text, key in (
                ('holding', 'This node holds the role.', 'phase'),
                ('gate_open', 'The kernel passes the address.', 'open'),
                ('epoch', 'Epoch of the role.', 'epoch'),
                ('conflict', 'A foreign NIC claims the address.',
                 'conflict')):
            family = metrics.GaugeMetricFamily(
                f'cinder_tagged_ha_{name}', text, labels=['role'])
            for role, state in seen['roles'].items():
                value = state[key]
                if key == 'phase':
                    value = value != 'following'
                family.add_metric([role], float(
                    value if isinstance(value, int) else bool(value)))
            yield family
        for name, value in seen['counters'].items():
            yield metrics.CounterMetricFamily(
                f'cinder_tagged_ha_{name}', f'Number of {name}.',
                value=value)
        events = metrics.CounterMetricFamily(
            'cinder_tagged_ha_events', 'Decisions by kind.',
            labels=['event'])
        for name, value in sorted(self._agent.history.counts.items()):
            events.add_metric([name], value)
        yield events


def _gauge(name: str, text: str, value: Any) -> Any:
    return metrics.GaugeMetricFamily(
        f'cinder_tagged_ha_{name}', text, value=float(value))


def serve_metrics(agent: agents.Agent, control: Control) -> None:
    """Start the endpoint if one is configured."""
    if not agent.conf.ha.metrics:
        return
    host, _, port = agent.conf.ha.metrics.rpartition(':')
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(agent, control))
    prometheus_client.start_http_server(
        int(port), host.strip('[]'), registry)
