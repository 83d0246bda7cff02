# SPDX-License-Identifier: Apache-2.0
"""What was seen of a node, and what is found about it."""

from collections.abc import Mapping
import dataclasses
import enum

STOCK_DRIVER = 'cinder.volume.drivers.rbd.RBDDriver'
TAGGED_DRIVER = 'cinder_tagged.volume.driver.TaggedRBDDriver'
_TRUE = ('true', '1', 'on', 'yes')


class Severity(enum.IntEnum):
    """How bad it is."""

    #: Worth knowing; nothing to do.
    INFO = 0
    #: It works, but not as well or as safely as it should.
    WARNING = 1
    #: It does not work, or harms.
    ERROR = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one place.

    :param rule: stable name, to look up in the handbook or to pass over
    :param path: the file; '' for what concerns several
    :param remedy: what to do about it; '' where nothing is to be done
    """

    severity: Severity
    rule: str
    path: str
    group: str
    option: str
    what: str
    remedy: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Conf:
    """Options of one service, by section, as oslo.config reads them.

    :param path: the file, or the first of several
    """

    path: str
    sections: Mapping[str, Mapping[str, str]]

    def get(self, group: str, option: str, default: str = '') -> str:
        """Return an option's text."""
        return self.sections.get(group, {}).get(option, default).strip()

    def has(self, group: str, option: str) -> bool:
        """Tell whether the option is written down."""
        return option in self.sections.get(group, {})

    def words(self, group: str, option: str) -> list[str]:
        """Return the items of a list."""
        return [word for part in self.get(group, option).split(',')
                if (word := part.strip())]

    def true(self, group: str, option: str) -> bool:
        """Tell whether a switch is on; all of them are off by default."""
        return self.get(group, option).lower() in _TRUE


@dataclasses.dataclass(frozen=True, slots=True)
class Stanza:
    """One enabled backend of a cinder.conf."""

    conf: Conf
    name: str

    def get(self, option: str, default: str = '') -> str:
        """Return an option, from [backend_defaults] if it is not here."""
        shared = self.conf.get('backend_defaults', option, default)
        return self.conf.get(self.name, option, shared)

    @property
    def options(self) -> Mapping[str, str]:
        """What is written under the stanza's own heading."""
        return self.conf.sections.get(self.name, {})

    @property
    def tagged(self) -> bool:
        """Whether the stanza is on this project's driver."""
        return self.get('volume_driver') == TAGGED_DRIVER

    @property
    def rbd(self) -> bool:
        """Whether the stanza is on this or on Cinder's own RBD driver."""
        return self.tagged or self.get('volume_driver') == STOCK_DRIVER

    @property
    def login(self) -> 'Login':
        """As whom its service uses which cluster."""
        return Login('cinder', self.get('rbd_ceph_conf'),
                     self.get('rbd_cluster_name', 'ceph'),
                     self.get('rbd_user'))

    @property
    def pool(self) -> str:
        """The pool of its volumes."""
        return self.get('rbd_pool', 'rbd')


def stanzas(conf: Conf) -> list[Stanza]:
    """Return the enabled backends in their order."""
    return [Stanza(conf, name)
            for name in conf.words('DEFAULT', 'enabled_backends')]


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """A Ceph user of a service, by the file that leads to its cluster.

    :param service: whose operating system user has to read the files
    """

    service: str
    conf: str
    cluster: str
    user: str

    @property
    def entity(self) -> str:
        """The user's full name."""
        return f'client.{self.user or "admin"}'


@dataclasses.dataclass(frozen=True, slots=True)
class FileState:
    """What the file system says of one file.

    :param service: who has to read it
    :param readable: whether that service's user can
    :param judged_as: the operating system user that was tried
    """

    path: str
    service: str
    exists: bool
    readable: bool = False
    mode: int = 0
    judged_as: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """A file that may hold a key.

    :param has_key: whether there is one for the login's user
    """

    file: FileState
    has_key: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class CephView:
    """What librados makes of a ceph.conf for one user, offline.

    :param problem: why it cannot be read; then the rest is empty
    :param wants_key: whether the file asks for cephx
    :param inline_key: whether a key stands in the file itself
    """

    file: FileState
    problem: str = ''
    fsid: str = ''
    mon_host: str = ''
    wants_key: bool = True
    inline_key: bool = False
    keyrings: tuple[Keyring, ...] = ()

    @property
    def key_found(self) -> bool:
        """Whether there is a key that the service can use."""
        return self.inline_key or any(
            k.has_key and k.file.readable for k in self.keyrings)


@dataclasses.dataclass(frozen=True, slots=True)
class Paste:
    """Pipelines and filters of a paste file.

    :param pipelines: applications by (section, option), in their order
    :param filters: factory by the filter's name
    """

    path: str
    pipelines: Mapping[tuple[str, str], tuple[str, ...]]
    filters: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """What was collected from one other host."""

    name: str
    cinder: Conf
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """What came of connecting to a cluster.

    :param step: the last one tried: connect, pool, list, write
    :param problem: why it failed; '' if it went well
    """

    login: Login
    pool: str
    step: str
    problem: str = ''
    remedy: str = ''
    fsid: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """All that was seen; what was not looked at is None or empty.

    :param secrets: uuids of libvirt's secrets on this node
    :param versions: installed releases by distribution
    :param reached: None if no cluster was asked
    :param unread: files that were named but cannot be read: path, reason
    """

    cinder: Conf | None = None
    nova: Conf | None = None
    glance: Conf | None = None
    nova_paste: Paste | None = None
    glance_paste: Paste | None = None
    ceph: Mapping[Login, CephView] = dataclasses.field(default_factory=dict)
    files: tuple[FileState, ...] = ()
    secrets: frozenset[str] | None = None
    hosts: tuple[Host, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reached: tuple[Reached, ...] | None = None
    unread: tuple[tuple[str, str], ...] = ()

    def stanzas(self) -> list[Stanza]:
        """Return the enabled RBD backends."""
        found = stanzas(self.cinder) if self.cinder else []
        return [stanza for stanza in found if stanza.rbd]

    def tagged(self) -> list[Stanza]:
        """Return the enabled backends on this project's driver."""
        return [stanza for stanza in self.stanzas() if stanza.tagged]

    def fsid(self, login: Login) -> str:
        """Return what is known of a cluster's identity, or ''."""
        for reached in self.reached or ():
            if reached.login == login and reached.fsid:
                return reached.fsid
        view = self.ceph.get(login)
        return view.fsid if view else ''

    def place(self, login: Login) -> str:
        """Return what tells a cluster from others: fsid, else its file."""
        return self.fsid(login) or login.conf or '(default ceph.conf)'
