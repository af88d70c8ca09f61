"""Refusals: each says why, and nothing has changed when it is over."""
from lab import CONFIRM, equal, true

LOG = '/run/etcdctl.log'


def refused(lab, words, playbook='decommission-master', options=(), rc=2, recorded=True, **extra):
    """The playbook refuses with these words, no file or service or member differs, and etcdctl was asked to write nothing."""
    if recorded:
        for host in ('master-0', 'master-1', 'master-2'):
            lab.sh(host, f'''printf '#!/bin/sh\\necho "$@" >> {LOG}\\nexec /usr/bin/etcdctl "$@"\\n' > /run/etcdctl; chmod 755 /run/etcdctl; rm -f {LOG}''',
                   check=False)
        extra['etcdctl_path'] = '/run/etcdctl'
    before = lab.tree()
    run = lab.play(playbook, *options, **extra)
    run.refuses(words, rc)
    lab.same(before, 'a refused run changed something')
    for host in ('master-0', 'master-1', 'master-2'):
        log = lab.look(host, f'cat {LOG}')
        true('member remove' not in log and 'member add' not in log and 'member update' not in log,
             f'etcdctl was asked to write on {host}: {log}')
    return run


def names(lab):
    """An empty name, a group, a pattern, localhost, an unknown host, and a node are no master to retire."""
    for value, words in [('', 'must be the name of exactly one host'), ('masters', 'must be the name of exactly one host'),
                         ('master-0:master-1', 'must be the name of exactly one host'), ('localhost', 'must be the name of exactly one host'),
                         ('node-0', 'is not in the group [masters]'),
                         ('master-7', 'neither in the inventory nor known to the survivors')]:
        refused(lab, words, recorded=False, decommission_host=value, **CONFIRM)


def even(lab):
    """Two members of three are an even number, and want a confirmation."""
    refused(lab, 'an even number', decommission_host='master-0')


def unhealthy_survivor(lab):
    """One member is down: retiring a healthy one would cost quorum."""
    lab.sh('master-2', 'systemctl stop etcd')
    refused(lab, 'Not healthy: master-2.example.com', decommission_host='master-0', **CONFIRM)


def last_master(lab):
    """The only master cannot leave."""
    text = (lab.inventory / 'hosts').read_text()
    kept = [line for line in text.splitlines() if not line.startswith(('master-1', 'master-2'))]
    (lab.inventory / 'hosts').write_text('\n'.join(kept) + '\n')
    refused(lab, 'the cluster would be gone', decommission_host='master-0', **CONFIRM)


def first_master_without_serial(lab):
    """The first master's serial is lost."""
    lab.sh('master-0', 'rm /etc/origin/master/ca.serial.txt')
    refused(lab, 'ca.serial.txt is neither on it nor on a survivor', decommission_host='master-0', **CONFIRM)


def two_matches(lab):
    """Two members answer to what the inventory says of the host."""
    address = lab.look('master-2', 'hostname -I').split()[0]
    lab.edit('master-0 ansible_host', f'master-0 openshift_ip={address} ansible_host')
    refused(lab, '2 etcd members match master-0', decommission_host='master-0', **CONFIRM)


def no_balancer(lab):
    """Without a load balancer in the inventory somebody has to say that it is external."""
    lab.edit('\nlb-0 ', '\n#lb-0 ')
    refused(lab, 'The group [lb] is empty', decommission_host='master-0', **CONFIRM)


def empty_backend(lab):
    """A backend that lists nobody else."""
    lab.sh('lb-0', "sed -i '/server master-[12]/d' /etc/haproxy/haproxy.cfg")
    refused(lab, 'lists no other server than master-0', decommission_host='master-0', **CONFIRM)


def dead_host(lab):
    """A host that does not answer wants a confirmation."""
    lab.sh('master-2', 'true')
    lab.ctl('kill', 'master-2')
    refused(lab, 'does not answer. If it is dead for good', recorded=False, decommission_host='master-2', **CONFIRM)


def api_of_a_survivor(lab):
    """The API server that should take over does not answer."""
    lab.sh('master-1', 'systemctl stop pod-apiserver')
    refused(lab, 'The API server of master-1 is not healthy', decommission_host='master-0', **CONFIRM)


def dynamic_inventory(lab):
    """An inventory that is a script cannot be edited."""
    script = lab.work / 'script'
    script.write_text('#!/bin/sh\necho "{}"\n')
    script.chmod(0o755)
    refused(lab, 'is not a plain file that can be edited', decommission_host='master-0', decommission_inventory=script, **CONFIRM)


def pod_in_both_places(lab):
    """A definition that is in both places: which one counts?"""
    lab.sh('master-0', 'cd /etc/origin/node/pods && mkdir disabled && cp apiserver.yaml disabled/')
    run = lab.play('decommission-master', decommission_host='master-0', **CONFIRM)
    run.refuses('Nothing was moved').says("Stopped in the phase 'static pods' on master-0").says('To go on')
    equal(len(lab.members()), 3, 'members after a stop before the removal')


def backup_of_other_content(lab):
    """A backup of the same name is never overwritten without a word."""
    lab.play('backup-master').succeeds()
    lab.sh('master-1', 'echo new > /etc/origin/master/new.conf')
    run = lab.play('backup-master')
    run.refuses('holds a backup with other content')
    equal(lab.look('master-1', 'find /backup -name new.conf'), '', 'the new file in the old backup')


CASES = [names, even, unhealthy_survivor, last_master, first_master_without_serial, two_matches, no_balancer, empty_backend, dead_host,
         api_of_a_survivor, dynamic_inventory, pod_in_both_places, backup_of_other_content]
