# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel what a service's user may read."""

import os
import pathlib
import pwd
import stat
import subprocess

from cinder_tagged.check import model

_TEST = '/usr/bin/test'
_DEADLINE_S = 5


class Judge:
    """Tells who may read what, as the users of the services.

    Directories above a file and access lists count, since the kernel is
    asked. That takes root; anybody else can only speak for themselves.

    :param users: operating system user by service; services without one on
        this machine are judged as the user who runs the check
    """

    def __init__(self, users: dict[str, str]) -> None:
        self._users = {}
        if os.geteuid() == 0:
            for service, name in users.items():
                try:
                    self._users[service] = pwd.getpwnam(name)
                except KeyError:
                    continue

    def state(self, path: str, service: str) -> model.FileState:
        """Return what there is to know about one file."""
        user = self._users.get(service)
        name = user.pw_name if user else _self()
        try:
            mode = stat.S_IMODE(pathlib.Path(path).stat().st_mode)
        except FileNotFoundError:
            return model.FileState(path, service, False, judged_as=name)
        except OSError:
            # It may be there, but not for us.
            return model.FileState(path, service, True, judged_as=name)
        return model.FileState(path, service, True,
                               self._readable(path, user), mode, name)

    @staticmethod
    def _readable(path: str, user: pwd.struct_passwd | None) -> bool:
        if user is None:
            return os.access(path, os.R_OK)
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        try:
            return subprocess.run(
                [_TEST, '-r', path], user=user.pw_uid, group=user.pw_gid,
                extra_groups=groups, cwd='/', timeout=_DEADLINE_S,
                stdin=subprocess.DEVNULL, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def _self() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
