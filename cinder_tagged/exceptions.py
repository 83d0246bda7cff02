# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one tree.

::

    CinderTaggedError
    +-- FeatureConfigError   a stanza of cinder.conf cannot be used
    +-- ExpressionError      a tag expression cannot be read
"""


class CinderTaggedError(Exception):
    """Root of every error that the suite raises on purpose."""


class FeatureConfigError(CinderTaggedError):
    """One option holds a value that cannot be used.

    :param option: name of the option in cinder.conf
    :param value: what was found there
    :param remedy: what the operator should write instead
    :param where: the stanza, such as ``[ceph-ssd-a]``
    """

    def __init__(self, option: str, value: object, remedy: str,
                 where: str = ''):
        self.option = option
        self.value = value
        self.remedy = remedy
        self.where = where
        place = f'{where} ' if where else ''
        super().__init__(f'{place}{option} = {value!s}: {remedy}')


class ExpressionError(CinderTaggedError):
    """A tag expression cannot be read.

    :param text: the whole expression
    :param position: offset of the offending character, from 0
    :param reason: what was expected there
    """

    def __init__(self, text: str, position: int, reason: str):
        self.text = text
        self.position = position
        self.reason = reason
        super().__init__(
            f'cannot read the feature expression {text!r}: {reason} '
            f'at character {position + 1}; write for example "ssd", '
            f'"ssd & db", "ssd | nvme" or "ssd & !(shared | test)"')
