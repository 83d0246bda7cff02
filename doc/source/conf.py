# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the operators' documentation."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'ext'))

project = 'cinder-tagged'
copyright = 'the cinder-tagged developers'
extensions = [
    'benchmark_results',
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'oslo_config.sphinxconfiggen',
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
