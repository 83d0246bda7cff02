# SPDX-License-Identifier: Apache-2.0
"""Options of fencing, group [fence]."""

from oslo_config import cfg

GROUP = 'fence'

OPTS = [
    cfg.ListOpt(
        'volume_groups', default=[],
        help='Shared volume groups to watch and fence. Empty: every group '
             'whose lockspace lvmlockd or sanlock holds on this node.'),
    cfg.FloatOpt(
        'interval', default=1.0, min=0.1,
        help='Seconds between two looks at paths and leases.'),
    cfg.FloatOpt(
        'grace', default=5.0, min=0,
        help='Seconds for which every path (or the leases) must be lost '
             'before the volumes are cut off. Longer rides out a switch '
             'that restarts; guests on the volumes wait meanwhile. '
             '"cinder-tagged-fence check" shows how much your sanlock and '
             'watchdog timers allow.'),
    cfg.FloatOpt(
        'run_deadline', default=20.0, min=1,
        help='Seconds that one fencing run may take, all steps together.'),
    cfg.FloatOpt(
        'kill_deadline', default=45.0, min=1,
        help='The same as run_deadline when run as lvmlockctl_kill_command, '
             'counted from the start of the process. Keep it below the '
             'time that the watchdog leaves then: its own less 10 s, so '
             '50 s with a watchdog of 60 s.'),
    cfg.FloatOpt(
        'command_deadline', default=5.0, min=0.5,
        help='Seconds that a single tool (dmsetup, multipathd, lvmlockctl, '
             'sanlock, lsblk, virsh) may take before it is abandoned and '
             'the step is tried again.'),
    cfg.FloatOpt(
        'recover_deadline', default=180.0, min=10,
        help='Seconds that a step of the way back may take. Joining a '
             'lockspace takes sanlock 20 to 30 s with its default timers.'),
    cfg.StrOpt(
        'holders', default='keep', choices=[
            ('keep', 'leave them; they meet I/O errors'),
            ('pause', 'suspend the guests through libvirt; recovery '
                      'resumes them'),
            ('destroy', 'end the guests through libvirt')],
        help='What becomes of libvirt guests that keep a cut-off volume '
             'open. Use "destroy" where another service restarts guests '
             'on other nodes. With error_policy=stop on the disk QEMU '
             'pauses the guest by itself before it sees an error.'),
    cfg.StrOpt(
        'libvirt_uri', default='qemu:///system',
        help='Where virsh finds the guests that "holders" pauses or ends.'),
    cfg.BoolOpt(
        'auto_recover', default=False,
        help='Let "watch" take the locks again and restore the volumes once '
             'all paths have been back for recover_after seconds. Volumes '
             'whose lock another node took stay cut off.'),
    cfg.FloatOpt(
        'recover_after', default=30.0, min=0,
        help='Seconds for which all paths must be back before '
             'auto_recover acts.'),
    cfg.StrOpt(
        'state_dir', default='/run/cinder-tagged/fence',
        help='Directory of the records of fenced groups. Must be local and '
             'must not survive a reboot.'),
    cfg.StrOpt(
        'multipath_conf_dir', default='/etc/multipath/conf.d',
        help='config_dir of multipath.conf. When multipathd turns queueing '
             'on again during a run, an override for that one map is '
             'written here; recovery removes it.'),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group=GROUP)
