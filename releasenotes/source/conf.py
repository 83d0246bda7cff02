# SPDX-License-Identifier: Apache-2.0
project = 'cinder-tagged release notes'
copyright = 'the cinder-tagged developers'  # noqa: A001
extensions = ['openstackdocstheme', 'reno.sphinxext']
html_theme = 'openstackdocs'
openstackdocs_auto_name = False
root_doc = 'index'
