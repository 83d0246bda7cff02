# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the operators' documentation."""

import pathlib
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / 'doc' / 'ext'), str(_ROOT)]

project = 'cinder-tagged'
copyright = 'the cinder-tagged developers'
extensions = [
    'benchmark_results',
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'oslo_config.sphinxconfiggen',
    'tempest_results',
]
html_theme = 'openstackdocs'
html_static_path = ['_static']
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
pygments_style = 'native'
root_doc = 'index'
config_generator_config_file = [
    ('../../tools/config-generator.conf', '_static/cinder-tagged'),
]
