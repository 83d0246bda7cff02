# SPDX-License-Identifier: Apache-2.0
"""Reading real files, and the command over them."""

import contextlib
import io
import json
import pathlib

import ddt
import fixtures
from oslotest import base

from cinder_tagged import command
from cinder_tagged.check import model
from cinder_tagged.check.adapters import access
from cinder_tagged.check.adapters import ceph_files
from cinder_tagged.check.adapters import collected
from cinder_tagged.check.adapters import conf_files
from tests.unit.check import sites

_SECRET = 'hunter2'


class FilesCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        # Whoever runs the tests, "nobody" has to get in.
        self.directory.chmod(0o755)

    def write(self, name, text, mode=0o640):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)


class ConfFilesTest(FilesCase):

    def test_read(self):
        conf = conf_files.read([self.write('cinder.conf', (
            '[DEFAULT]\nenabled_backends = a,\n  b\n'
            '[a]\nrbd_user = u$rbd_pool\nrbd_pool = p\n'))])
        self.assertEqual(['a', 'b'],
                         conf.words('DEFAULT', 'enabled_backends'))
        self.assertEqual('up', conf.get('a', 'rbd_user'))

    def test_later_files_override(self):
        first = self.write('cinder.conf', '[a]\nrbd_pool = p\nrbd_user = u\n')
        self.write('d/1.conf', '[a]\nrbd_pool = q\n')
        conf = conf_files.read([first, str(self.directory / 'd')])
        self.assertEqual(('q', 'u'), (conf.get('a', 'rbd_pool'),
                                      conf.get('a', 'rbd_user')))

    def test_no_secret_is_kept(self):
        conf = conf_files.read([self.write('cinder.conf', (
            f'[DEFAULT]\ntransport_url = rabbit://x:{_SECRET}@h/\n'
            f'[database]\nconnection = mysql://x:{_SECRET}@h/\n'
            f'[keystone_authtoken]\npassword = {_SECRET}\n'
            'auth_type = password\n'))])
        self.assertNotIn(_SECRET, repr(conf))
        self.assertEqual('password',
                         conf.get('keystone_authtoken', 'auth_type'))

    def test_leans_on_an_option_not_kept(self):
        conf = conf_files.read([self.write('cinder.conf', (
            '[DEFAULT]\nrbd_ceph_conf = $state_path/ceph.conf\n'))])
        self.assertEqual('', conf.get('DEFAULT', 'rbd_ceph_conf'))

    def test_errors_quote_nothing(self):
        for text in (f'password = {_SECRET}\n', f'[a]\n {_SECRET}\n',
                     f'[a]\n{_SECRET}\n', f'[a\n{_SECRET}\n'):
            path = self.write('bad.conf', text)
            for reader in (lambda p: conf_files.read([p]),
                           conf_files.read_paste):
                try:
                    read = reader(path)
                except conf_files.Unreadable as exc:
                    self.assertNotIn(_SECRET, str(exc))
                    self.assertTrue(str(exc))
                else:
                    self.assertNotIn(_SECRET, repr(read))

    def test_missing(self):
        self.assertRaises(conf_files.Unreadable, conf_files.read,
                          [str(self.directory / 'none')])

    def test_paste(self):
        paste = conf_files.read_paste(self.write('api-paste.ini', (
            '[composite:api]\nuse = call:x:y\n/: versions\n'
            'keystone = cors  authtoken app\n'
            '[filter:cors]\npaste.filter_factory = a:b\n'
            '[filter:other]\nuse = egg:cinder-tagged#feature_disks\n')))
        self.assertEqual(('cors', 'authtoken', 'app'),
                         paste.pipelines['composite:api', 'keystone'])
        self.assertEqual({'cors': 'a:b',
                          'other': 'egg:cinder-tagged#feature_disks'},
                         paste.filters)


class AccessTest(FilesCase):

    def test_missing(self):
        self.assertFalse(access.Judge({}).state('/nowhere/x', 'c').exists)

    def test_readable(self):
        path = self.write('open', '', 0o644)
        state = access.Judge({'c': 'nobody'}).state(path, 'c')
        self.assertTrue(state.exists)
        self.assertEqual(0o644, state.mode)

    def test_not_readable(self):
        path = self.write('closed', '', 0)
        state = access.Judge({'c': 'nobody'}).state(path, 'c')
        self.assertEqual((True, False), (state.exists, state.readable))


class CephFilesTest(FilesCase):

    def view(self, text, **keyring):
        for name, content in keyring.items():
            self.write(name, content, 0o644)
        path = self.write('ceph.conf', text, 0o644)
        return ceph_files.view(model.Login('cinder', path, 'east', 'cinder'),
                               access.Judge({}))

    def good(self):
        return (f'[global]\nfsid = {sites.FSIDS["east"]}\n'
                'mon host = 10.0.0.1\n'
                f'keyring = {self.directory}/$cluster.$name.keyring\n')

    def test_good(self):
        view = self.view(self.good(), **{
            'east.client.cinder.keyring':
                f'[client.cinder]\n\tkey = {_SECRET}\n'})
        self.assertEqual((sites.FSIDS['east'], '10.0.0.1', True), (
            view.fsid, view.mon_host, view.key_found))
        self.assertNotIn(_SECRET, repr(view))

    def test_key_of_another(self):
        view = self.view(self.good(), **{
            'east.client.cinder.keyring': '[client.x]\nkey = A\n'})
        self.assertFalse(view.key_found)

    def test_little_in_it(self):
        view = self.view('[global]\nauth_client_required = none\n')
        self.assertEqual(('', '', False, False), (
            view.fsid, view.mon_host, view.wants_key, view.key_found))

    def test_missing(self):
        view = ceph_files.view(
            model.Login('cinder', '/nowhere/ceph.conf', 'ceph', ''),
            access.Judge({}))
        self.assertIn('does not exist', view.problem)

    def test_not_a_ceph_conf(self):
        self.assertTrue(self.view('[global\nfsid').problem)


class CollectedTest(FilesCase):

    def test_hosts(self):
        self.write('a/cinder.conf', '[x]\nrbd_pool = p\n')
        self.write('a/versions.txt',
                   'cinder==29.0.0\ncinder_tagged==1.0\nx==2\n')
        self.write('b/etc/cinder/cinder.conf', '[x]\nrbd_pool = q\n')
        self.write('c.conf', '[x]\nrbd_pool = r\n')
        self.write('broken.conf', 'rbd_pool\n')
        self.write('readme.txt', '')
        found = list(collected.hosts(str(self.directory)))
        hosts = {host.name: host for host in found
                 if isinstance(host, model.Host)}
        self.assertEqual(
            {'a': 'p', 'b': 'q', 'c': 'r'},
            {name: host.cinder.get('x', 'rbd_pool')
             for name, host in hosts.items()})
        self.assertEqual({'cinder': '29.0.0', 'cinder-tagged': '1.0'},
                         hosts['a'].versions)
        self.assertEqual(1, len(found) - len(hosts))

    def test_no_directory(self):
        self.assertEqual(1, len(list(collected.hosts('/nowhere'))))

    def test_secrets(self):
        self.write('u1.xml', '<secret><uuid>ABC</uuid></secret>')
        self.write('u2.xml', 'broken')
        self.write('abc.base64', _SECRET)
        self.assertEqual(
            frozenset(('abc',)),
            collected.libvirt_secrets(str(self.directory)))
        self.assertIsNone(collected.libvirt_secrets('/nowhere'))


@ddt.ddt
class CommandTest(FilesCase):

    def run_it(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                status = command.main(['check', *arguments])
            except SystemExit as exc:
                status = exc.code
        return status, out.getvalue()

    def conf(self, driver=model.STOCK_DRIVER, more=''):
        ceph = self.write('ceph.conf', '[global]\nmon_host = 10.0.0.1\n'
                          f'fsid = {sites.FSIDS["east"]}\nkey = {_SECRET}\n')
        return self.write('cinder.conf', (
            f'[DEFAULT]\nenabled_backends = a\n[a]\nvolume_driver = {driver}\n'
            'volume_backend_name = a\nrbd_user = cinder\nrbd_pool = v\n'
            f'rbd_ceph_conf = {ceph}\n{more}'))

    @ddt.data(('error', 0), ('warning', 0), ('info', 1))
    @ddt.unpack
    def test_status_of_a_node_to_adopt(self, limit, expected):
        status, out = self.run_it('--cinder-conf', self.conf(),
                                  '--fail-on', limit)
        self.assertEqual(expected, status, out)
        self.assertIn('0 errors, 0 warnings, 1 note; looked at', out)
        self.assertNotIn(_SECRET, out)

    def test_json(self):
        status, out = self.run_it(
            '--cinder-conf', self.conf(model.TAGGED_DRIVER),
            '--format', 'json')
        told = json.loads(out)
        self.assertEqual(1, status)
        self.assertEqual(
            {'severity': 'error', 'rule': 'feature', 'group': 'a',
             'option': 'feature_tags'},
            {key: value for key, value in told['findings'][0].items()
             if key in ('severity', 'rule', 'group', 'option')})
        self.assertEqual(len(told['findings']),
                         sum(told['counts'].values()))

    def test_unreadable(self):
        status, out = self.run_it('--cinder-conf', '/nowhere/cinder.conf')
        self.assertEqual(1, status)
        self.assertIn('/nowhere/cinder.conf', out)

    @ddt.data(('--deadline', '0'), ('--deadline', 'soon'),
              ('--format', 'xml'))
    def test_bad_arguments(self, arguments):
        self.assertEqual(2, self.run_it(*arguments)[0])
