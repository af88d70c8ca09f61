"""The other playbooks that ship, and the lab's inventory."""
import subprocess

from lab import CONFIRM, ROOT, equal, true

OC = r'''#!/bin/sh
# records what it is asked; one node leaves the list once it is deleted
echo "$@" >> /run/oc.log
case "$*" in
  *"get nodes"*) for n in master-0 master-1 master-2 node-0 node-1; do
      [ -e /run/oc.deleted ] && [ $n = node-1 ] || echo "$n.example.com "; done ;;
  *"delete node node-1.example.com"*) touch /run/oc.deleted ;;
  *"get endpoints"*) echo ;;
  *"get configmap openshift-master-controllers"*) cat /run/oc.lease 2>/dev/null ;;
esac
'''


def inventory_of_the_checkout(lab):
    """inventories/lab is what the lab writes."""
    out = lab.work / 'written'
    subprocess.run([str(ROOT / 'tests/lab/lab'), 'inventory', str(out)], check=True, env={'PATH': lab.env['PATH'], 'LAB_N': '0'})
    diff = subprocess.run(['diff', '-r', str(ROOT / 'inventories/lab'), str(out)], capture_output=True, text=True)
    equal(diff.stdout, '', 'inventories/lab against what the lab writes')


def preflight(lab):
    """Reads, prints the plan, changes nothing."""
    before = lab.tree()
    run = lab.play('preflight', decommission_host='master-0', **CONFIRM).unchanged()
    run.says('retire master-0 (master-0').says('first master afterwards: master-1').says('masters afterwards: master-1, master-2')
    lab.same(before, 'preflight changed something')


def backup_master(lab):
    """Check, for real, again, with an archive, again."""
    before = lab.tree()
    lab.play('backup-master', '--check', '--diff').succeeds().says('etc/origin/master/master-config.yaml')
    lab.same(before, 'a check run changed something')
    lab.play('backup-master').succeeds()
    lab.play('backup-master').unchanged()
    lab.play('backup-master', backup_archive='true').succeeds()
    lab.play('backup-master', backup_archive='true').unchanged()
    equal(lab.look('master-0', 'find / -xdev -name "-*" -not -path "/proc/*" -not -path "/sys/*" -mmin -10'), '', 'a stray file of the shell')
    for h in ('master-0', 'master-1', 'master-2'):
        true('./MANIFEST.sha256' in lab.look(h, f'tar -tzf /backup/{h}-2*.tar.gz'), f'archive of {h}')
        equal(lab.look(h, f'stat -c %a /backup/{h}-2*.tar.gz'), '600', f'mode of the archive of {h}')


def backup_etcd(lab):
    """Check, for real, again."""
    before = lab.tree()
    lab.play('backup-etcd', '--check', '--diff').succeeds()
    lab.same(before, 'a check run changed something')
    lab.play('backup-etcd').succeeds()
    lab.play('backup-etcd').unchanged()
    for h in ('master-0', 'master-1', 'master-2'):
        equal(lab.look(h, 'diff -r /etc/etcd /backup/etcd-config-2*/ && echo same'), 'same', f'configuration of {h}')
        true('"totalKey"' in lab.look(h, 'ETCDCTL_API=3 etcdctl snapshot status -w json /backup/etcd-2*.db'), f'snapshot of {h}')
        equal(lab.look(h, 'ls /var/lib/etcd'), 'member', f"what is left in etcd's data of {h}")


def remove_etcd_member(lab):
    """The member goes, the host stays a master and in its other groups."""
    before = lab.tree()
    lab.play('remove-etcd-member', '--check', '--diff', decommission_host='master-2', **CONFIRM).succeeds()
    lab.same(before, 'a check run changed something')
    lab.play('remove-etcd-member', decommission_host='master-2', **CONFIRM).succeeds()
    equal(lab.members(), ['master-0.example.com', 'master-1.example.com'], 'etcd members')
    equal(lab.groups()['etcd'], ['master-0', 'master-1'], 'group etcd')
    equal(lab.groups()['masters'], ['master-0', 'master-1', 'master-2'], 'group masters')
    equal(len(lab.servers()), 3, 'servers of the backend')
    lab.play('remove-etcd-member', decommission_host='master-2', **CONFIRM).unchanged()


def decommission_node(lab):
    """A node without Python leaves; oc is asked to cordon, drain and delete, in this order and once."""
    for m in ('master-0', 'master-1', 'master-2'):
        lab.sh(m, f"cat > /usr/local/bin/oc <<'X'\n{OC}\nX\nchmod 755 /usr/local/bin/oc")
    before = lab.tree()
    lab.play('decommission-node', '--check', '--diff', decommission_host='node-1').succeeds().says('would cordon, drain and delete node node-1.example.com')
    lab.same(before, 'a check run changed something')
    lab.sh('master-0', 'rm -f /run/oc.log')
    lab.play('decommission-node', decommission_host='node-1').succeeds()
    asked = [line.split('admin.kubeconfig ')[1] for line in lab.look('master-0', 'cat /run/oc.log').splitlines() if line.startswith('--config') and ' get ' not in line]
    equal([' '.join(a.split()[:3]) for a in asked],
          ['adm manage-node node-1.example.com', 'adm drain node-1.example.com', 'delete node node-1.example.com'], 'what oc was asked')
    equal(lab.look('node-1', 'systemctl is-active origin-node; systemctl is-enabled origin-node').split(), ['inactive', 'disabled'], 'the node service')
    true('node-1' not in lab.groups()['nodes'], 'the node is still in the inventory')
    lab.play('decommission-node', decommission_host='node-1').unchanged()


def lease_of_the_controllers(lab):
    """The plan names its holder; a retired host that still holds it is found, and the same command goes on from there."""
    for m in ('master-0', 'master-1', 'master-2'):
        lab.sh(m, f"cat > /usr/local/bin/oc <<'X'\n{OC}\nX\nchmod 755 /usr/local/bin/oc")
        lab.sh(m, """printf '{"holderIdentity":"master-2.example.com","leaseDurationSeconds":15}' > /run/oc.lease""")
    wanted = dict(decommission_host='master-2', cluster_verify_retries=2, **CONFIRM)
    lab.play('decommission-master', **wanted).says('the lease of the controllers is held by master-2.example.com').refuses(
        'Wait until the retired host no longer holds the lease of the controllers')
    for m in ('master-0', 'master-1'):
        lab.sh(m, """printf '{"holderIdentity":"master-1.example.com_1f0c","leaseDurationSeconds":15}' > /run/oc.lease""")
    lab.play('decommission-master', **wanted).succeeds()


def verify_finds_a_dead_member(lab):
    """verify.yml fails when etcd is not whole."""
    lab.sh('master-2', 'systemctl stop etcd')
    run = lab.play('verify', cluster_verify_retries=2)
    true(run.rc == 2, f'verify did not fail\n{run.tail()}')


CASES = [inventory_of_the_checkout, preflight, backup_master, backup_etcd, remove_etcd_member, decommission_node, lease_of_the_controllers, verify_finds_a_dead_member]
