# SPDX-License-Identifier: Apache-2.0
"""The picture of tags and clusters: what is in it, not how it looks."""

import pathlib
from xml.etree import ElementTree

import fixtures
from osc_lib import exceptions

from cinder_tagged.cli import drawing
from cinder_tagged.cli import feature_graph
from cinder_tagged.cli import report
from cinder_tagged.cli import topology
from tests.unit.cli import fakes

_NS = {'s': 'http://www.w3.org/2000/svg'}
POOLS = (
    fakes.pool('ssd-a', 'medium:ssd,public,db', 3.0, provisioned=300.0),
    fakes.pool('ssd-b', 'medium:ssd,public', 1.0, provisioned=100.0),
    fakes.pool('hdd', 'medium:hdd', 1.0, backend_state='down'),
)
SERVICES = (fakes.service('ssd-a'), fakes.service('ssd-b'),
            fakes.service('hdd'), fakes.service('old', state='down'),
            fakes.scheduler())


def read(pools=POOLS, services=SERVICES):
    storage = report.read_storage(pools, services)
    return topology.read(storage, report.tag_rows(storage, ()))


class TopologyTest(fakes.CommandTestCase):

    def test_shares(self):
        drawn = read()
        shares = {(link.word, link.key[0]): (link.share, link.target)
                  for link in drawn.links}
        self.assertEqual({
            ('ssd', 'fsid-ssd-a'): (0.75, 0.75),
            ('ssd', 'fsid-ssd-b'): (0.25, 0.25),
            ('public', 'fsid-ssd-a'): (0.75, 0.75),
            ('public', 'fsid-ssd-b'): (0.25, 0.25),
            ('db', 'fsid-ssd-a'): (1.0, 1.0),
            ('hdd', 'fsid-hdd'): (None, None)}, shares)

    def test_kinds_stand_together(self):
        self.assertEqual(['hdd', 'ssd', 'db', 'public'],
                         [tag.word for tag in read().tags])

    def test_amounts(self):
        by_name = {c.name: c for c in read().clusters}
        self.assertEqual((1000.0, 30.0, 300.0, 0.03), (
            by_name['ssd-a'].total_gb, by_name['ssd-a'].used_gb,
            by_name['ssd-a'].provisioned_gb, by_name['ssd-a'].fill))
        self.assertEqual((None, None), (by_name['hdd'].total_gb,
                                        by_name['hdd'].fill))
        self.assertTrue(by_name['hdd'].reason)

    def test_two_hosts_are_one_cluster(self):
        drawn = read([fakes.pool('a', host='h1'), fakes.pool('a', host='h2')],
                     [fakes.service('a', 'h1'), fakes.service('a', 'h2')])
        self.assertEqual([('a', 2)],
                         [(c.name, c.hosts) for c in drawn.clusters])
        self.assertEqual(2, len(drawn.links))

    def test_unknown_capacity(self):
        drawn = read([fakes.pool('a', total_capacity_gb='unknown',
                                 free_capacity_gb='unknown')],
                     [fakes.service('a')])
        self.assertIsNone(drawn.clusters[0].fill)
        drawing.svg(drawn, 'x')


class DrawingTest(fakes.CommandTestCase):

    def draw(self, drawn=None, title='T'):
        self.text = drawing.svg(drawn or read(), title)
        return ElementTree.fromstring(self.text)

    def test_everything_is_there_once(self):
        root = self.draw()
        self.assertEqual(
            ['hdd', 'ssd', 'db', 'public'],
            [g.get('data-tag') for g in root.findall(
                ".//s:g[@class='tag']", _NS)])
        self.assertEqual(
            {'ssd-a', 'ssd-b', 'hdd'},
            {g.get('data-cluster') for g in root.findall(
                ".//s:g[@class='cluster']", _NS)})
        self.assertEqual(6, len(root.findall('.//s:path', _NS)))
        self.assertEqual(1, len(root.findall(".//s:g[@class='silent']",
                                             _NS)))

    def test_lines_are_as_thick_as_shares(self):
        widths = {path.find('s:title', _NS).text: float(
            path.get('stroke-width'))
            for path in self.draw().findall('.//s:path', _NS)}
        thick, thin = (next(width for tip, width in widths.items()
                            if tip.startswith(f'ssd: {name} '))
                       for name in ('ssd-a', 'ssd-b'))
        self.assertAlmostEqual(3, (thick - 1.5) / (thin - 1.5))
        self.assertIn('hdd on hdd: down', widths)

    def test_ends_of_lines_are_on_their_boxes(self):
        root = self.draw()
        boxes = {
            g.get('data-cluster'): g.find('s:rect', _NS)
            for g in root.findall(".//s:g[@class='cluster']", _NS)}
        path = next(p for p in root.findall('.//s:path', _NS)
                    if p.find('s:title', _NS).text.startswith('db: ssd-a'))
        x, y = map(float, path.get('d').split()[-2:])
        box = boxes['ssd-a']
        self.assertEqual(float(box.get('x')), x)
        self.assertLess(float(box.get('y')), y)
        self.assertLess(y, float(box.get('y')) + float(box.get('height')))

    def test_stands_for_itself(self):
        self.draw()
        rest = self.text.replace('http://www.w3.org/2000/svg', '')
        for foreign in ('http', 'href', 'url(', '@import', '<script',
                        '<image'):
            self.assertNotIn(foreign, rest)
        self.assertIn('prefers-color-scheme', self.text)

    def test_names_are_escaped(self):
        pool = fakes.pool('a', feature_cluster='<b>"&\'')
        root = self.draw(read([pool], [fakes.service('a')]), '</svg>&')
        self.assertEqual('</svg>&', root.find('s:title', _NS).text)
        self.assertEqual('<b>"&\'', root.find(
            ".//s:g[@class='cluster']", _NS).get('data-cluster'))

    def test_many(self):
        pools = [fakes.pool(f'c{n}', f'medium:ssd,rack{n}')
                 for n in range(60)]
        services = [fakes.service(f'c{n}') for n in range(60)]
        root = self.draw(read(pools, services))
        bottom = max(float(r.get('y')) + float(r.get('height'))
                     for r in root.iter('{http://www.w3.org/2000/svg}rect')
                     if r.get('y'))
        self.assertLess(bottom, float(root.get('height')))


class CommandTest(fakes.CommandTestCase):

    def test_to_standard_output(self):
        self.answer(POOLS, SERVICES)
        status, _ = self.call(feature_graph.GraphFeature, '--title', 'North')
        self.assertEqual(0, status or 0)
        root = ElementTree.fromstring(self.stdout.getvalue())
        self.assertEqual('North', root.find('s:title', _NS).text)

    def test_to_a_file(self):
        self.answer(POOLS, SERVICES)
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path,
                            'cloud.svg')
        self.call(feature_graph.GraphFeature, '--file', str(path))
        ElementTree.parse(path)
        self.assertEqual([path], list(path.parent.iterdir()))

    def test_to_nowhere(self):
        self.answer(POOLS, SERVICES)
        error = self.assertRaises(
            exceptions.CommandError, self.call, feature_graph.GraphFeature,
            '--file', '/nowhere/cloud.svg')
        self.assertIn('/nowhere/cloud.svg', str(error))

    def test_nothing_to_draw(self):
        self.answer([], [fakes.scheduler()])
        error = self.assertRaises(
            exceptions.CommandError, self.call, feature_graph.GraphFeature)
        self.assertIn('feature_tags', str(error))

    def test_not_for_users(self):
        self.forbid()
        self.assertRaises(exceptions.CommandError, self.call,
                          feature_graph.GraphFeature)
