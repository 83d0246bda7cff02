# SPDX-License-Identifier: Apache-2.0
"""Reads configuration files of services, by oslo.config and paste's rules.

Only options that a rule looks at are kept. Passwords, keys and the URLs that
hold them are never among them.
"""

from collections.abc import Iterable
import configparser
import contextlib
import pathlib

from oslo_config import cfg

from cinder_tagged.check import model

_WANTED_BEGINNINGS = ('feature_', 'scheduler_')
_WANTED = (
    'auth_section', 'auth_type', 'config_file', 'default_backend',
    'enabled_backends', 'flavor', 'api_paste_config',
    'images_rbd_ceph_conf', 'images_type', 'policy', 'rbd_ceph_conf',
    'rbd_cluster_name', 'rbd_pool', 'rbd_secret_uuid', 'rbd_store_ceph_conf',
    'rbd_store_pool', 'rbd_store_user', 'rbd_user',
    'show_image_direct_url', 'show_multiple_locations',
    'snapshot_name_template', 'sources', 'store', 'tagged_ceph_confs',
    'tagged_feature', 'tagged_rbd_user', 'tagged_snapshot_name_template',
    'tagged_volume_name_template', 'volume_api_class', 'volume_backend_name',
    'volume_driver', 'volume_manager', 'volume_name_template',
)


class Unreadable(Exception):
    """A file is missing, may not be read, or cannot be parsed."""


def expand(paths: Iterable[str]) -> list[str]:
    """Return the files that stand behind files and directories."""
    found: list[str] = []
    for path in map(pathlib.Path, paths):
        found += (sorted(map(str, path.glob('*.conf'))) if path.is_dir()
                  else [str(path)])
    return found


def read(paths: Iterable[str]) -> model.Conf:
    """Read the files of one service; later ones override earlier.

    :raises Unreadable: with the reason
    """
    files = expand(paths)
    if not files:
        raise Unreadable('no file of the name *.conf in it')
    try:
        names = _names(files)
        conf = cfg.ConfigOpts()
        conf([], project='check', default_config_files=files,
             default_config_dirs=[])
        # All of them: one may lean on another by "$".
        for group, options in names.items():
            for name in options:
                _register(conf, group, name)
        return model.Conf(files[0], {
            group: {name: _value(conf, group, name)
                    for name in options if _wanted(name)}
            for group, options in names.items()})
    except (cfg.Error, cfg.ParseError, OSError, ValueError) as exc:
        raise Unreadable(_one_line(exc)) from exc


def _names(files: Iterable[str]) -> dict[str, dict[str, None]]:
    """Return the options that are written down, by section."""
    names: dict[str, dict[str, None]] = {}
    for path in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for group, options in sections.items():
            names.setdefault(group, {}).update(dict.fromkeys(options))
    return names


def _wanted(name: str) -> bool:
    return name in _WANTED or name.startswith(_WANTED_BEGINNINGS)


def _register(conf: cfg.ConfigOpts, group: str, name: str) -> None:
    # ConfigOpts has two options of its own.
    with contextlib.suppress(cfg.DuplicateOptError):
        conf.register_opt(cfg.StrOpt(name), group=(
            None if group == 'DEFAULT' else cfg.OptGroup(group)))


def _value(conf: cfg.ConfigOpts, group: str, name: str) -> str:
    try:
        value = conf[name] if group == 'DEFAULT' else conf[group][name]
    except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError,
            cfg.ConfigFileValueError):
        # It leans on an option that is not in the file.
        return ''
    return str(value or '')


def read_paste(path: str) -> model.Paste:
    """Read a paste file.

    :raises Unreadable: with the reason
    """
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except (configparser.Error, OSError, ValueError) as exc:
        raise Unreadable(_one_line(exc)) from exc
    pipelines = {}
    filters = {}
    for section in parser.sections():
        kind, _, name = section.partition(':')
        for option, value in parser.items(section):
            text = value or ''
            if kind in ('composite', 'pipeline') and len(text.split()) > 1:
                pipelines[section, option] = tuple(text.split())
            elif kind == 'filter' and option in (
                    'use', 'paste.filter_factory'):
                filters[name] = text.strip()
    return model.Paste(path, pipelines, filters)


def _one_line(exc: BaseException) -> str:
    # An error of a parser may quote the line, and with it a password.
    if isinstance(exc, cfg.ConfigFileParseError):
        return 'not in the form of a configuration file'
    if isinstance(exc, (configparser.Error, cfg.ParseError)):
        return f'not in the form of a configuration file, line {_line(exc)}'
    if isinstance(exc, UnicodeDecodeError):
        return 'not UTF-8'
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return ' '.join(str(exc).split())


def _line(exc: BaseException) -> object:
    return getattr(exc, 'lineno', None) or '(unknown)'
