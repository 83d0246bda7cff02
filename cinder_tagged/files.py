# SPDX-License-Identifier: Apache-2.0
"""Files that others read while they are written."""

import contextlib
import os
import pathlib
import secrets


def replace(path: str | pathlib.Path, data: bytes,
            mode: int | None = None) -> None:
    """Write a file in one step: readers find the old one or the new one.

    So does who comes after a crash of the machine.

    :param mode: permissions, exactly; None for those of any new file
    :raises OSError: it cannot be written; what was there is there still
    """
    path = pathlib.Path(path)
    fresh = path.with_name(f'.{path.name}.{secrets.token_hex(4)}')
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                         0o666 if mode is None else 0o600)
        with open(handle, 'wb') as file:
            if mode is not None:
                os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
