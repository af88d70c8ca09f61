"""A host that is dead is retired by its survivors."""
from cases_master import gone
from lab import CONFIRM, equal, true

DEAD = {**CONFIRM, 'decommission_unreachable': 'true'}


def with_a_range(lab):
    """A dead master of a range in the inventory: the range is split, not lost."""
    lab.edit('[etcd]\nmaster-0\nmaster-1\nmaster-2', '[etcd]\nmaster-[0:2]')
    lab.ctl('kill', 'master-1')
    lab.dirty = True
    lab.play('decommission-master', '--check', decommission_host='master-1', **DEAD).succeeds()
    equal(lab.groups()['etcd'], ['master-[0:2]'], 'the group after a check')
    lab.play('decommission-master', decommission_host='master-1', **DEAD).succeeds()
    expanded = [h for line in lab.groups()['etcd'] for h in ({'master-[0:0]': ['master-0'], 'master-[2:2]': ['master-2']}.get(line, [line]))]
    equal(expanded, ['master-0', 'master-2'], 'the group after the split')
    equal(lab.members(), ['master-0.example.com', 'master-2.example.com'], 'etcd members')
    equal(sorted(lab.servers()), ['master-0.example.com', 'master-2.example.com'], 'servers of the backend')
    lab.play('decommission-master', decommission_host='master-1', **DEAD).unchanged()


def first_master(lab):
    """A dead first master: its serial and etcd's CA come from the backup that was fetched."""
    fetched = lab.work / 'fetched'
    lab.play('backup-master', backup_fetch_dir=fetched).succeeds()
    serial = lab.look('master-0', 'cat /etc/origin/master/ca.serial.txt')
    archive = next(fetched.glob('master-0-*.tar.gz'))
    true(archive.stat().st_size > 1000, 'the fetched archive is empty')
    lab.ctl('kill', 'master-0')
    lab.play('decommission-master', decommission_host='master-0', **DEAD).refuses('Give a fetched backup')
    lab.play('decommission-master', decommission_host='master-0', ca_handover_archive=archive, **DEAD).succeeds()
    gone(lab, 'master-0', ['master-1', 'master-2'])
    for s in ('master-1', 'master-2'):
        equal(lab.look(s, 'cat /etc/origin/master/ca.serial.txt'), serial, f'serial of {s}')
    equal(lab.look('master-1', 'openssl verify -CAfile /etc/etcd/ca/ca.crt /etc/etcd/peer.crt'), '/etc/etcd/peer.crt: OK', "etcd's CA")
    lab.play('decommission-master', decommission_host='master-0', ca_handover_archive=archive, **DEAD).unchanged()


CASES = [with_a_range, first_master]
