"""A master leaves: check, for real, again; broken off and resumed."""
import re

from lab import CONFIRM, equal, true

# what the guide's listing of a master backup shows, as far as the lab has it
GOLDEN = ['etc/origin/master/master-config.yaml', 'etc/origin/master/ca.serial.txt', 'etc/origin/master/ca.key',
          'etc/origin/node/pods/apiserver.yaml', 'etc/origin/node/pods/etcd.yaml', 'etc/sysconfig/flanneld', 'etc/sysconfig/iptables',
          'etc/sysconfig/docker', 'etc/sysconfig/docker-network', 'etc/sysconfig/docker-storage', 'etc/sysconfig/docker-storage-setup',
          'etc/dnsmasq.conf', 'etc/dnsmasq.d/origin-dns.conf', 'etc/cni/net.d/80-openshift-network.conf',
          'etc/pki/ca-trust/source/anchors/lab-corporate-root-ca.crt', 'etc/etcd/etcd.conf', 'etc/etcd/ca/ca.key', 'packages.txt']


def gone(lab, host, survivors):
    """All that must be true after the host has left; survivors are the other masters."""
    fqdn = [f'{s}.example.com' for s in survivors]
    address = lab.ctl('hosts').split(f'{host} master ')[1].split()[0]
    equal(lab.members(), fqdn, 'etcd members')
    equal(len(lab.healthy()), len(survivors), 'healthy members')
    equal(lab.servers(), {f: 'UP' for f in fqdn}, 'servers of the backend')
    equal(lab.look('lb-0', 'diff <(cat /etc/haproxy/haproxy.cfg.*~ | head -n 1000) /etc/haproxy/haproxy.cfg | grep -c "^[<>]"'), '1',
          'lines of haproxy.cfg that changed')
    for s in survivors:
        conf = lab.look(s, 'grep ^ETCD_INITIAL_CLUSTER= /etc/etcd/etcd.conf')
        true(fqdn[0] in conf and host not in conf and ',,' not in conf and not conf.endswith(','), f'etcd.conf of {s}: {conf}')
        urls = lab.look(s, "sed -n '/^etcdClientInfo/,/^[^ ]/p' /etc/origin/master/master-config.yaml")
        true(address not in urls and urls.count('https://') == len(survivors), f'etcdClientInfo of {s}: {urls}')
    for s in [*survivors, 'node-0', 'node-1']:
        flannel = lab.look(s, 'cat /etc/sysconfig/flanneld; tr "\\0" "\\n" < /proc/$(systemctl show -p MainPID --value flanneld)/environ')
        true(address not in flannel and flannel.count('https://') == 2 * len(survivors), f'flannel of {s}: {flannel}')
    equal({g: [h for h in hosts if h == host] for g, hosts in lab.groups().items() if host in hosts}, {}, 'groups that still name the host')
    for g in ('masters', 'etcd'):
        equal(lab.groups()[g], survivors, f'group {g}')


def whole_way(lab):
    """Check, for real, again: nothing, everything, nothing."""
    before = lab.tree()
    serial = lab.look('master-0', 'cat /etc/origin/master/ca.serial.txt')
    pids = {s: lab.look(s, 'systemctl show -p MainPID --value pod-apiserver') for s in ('master-1', 'master-2')}
    plan = lab.play('decommission-master', '--check', '--diff', decommission_host='master-0', **CONFIRM).succeeds()
    lab.same(before, 'a check run changed something')
    for line in (r'^-\s+server master-0.example.com', r'^-master-0 ansible_host', r'^-ETCD_INITIAL_CLUSTER=', r'^-FLANNEL_ETCD_ENDPOINTS=',
                 r'^-\s+- https://\S+:2379', r'^\+.*etc/origin/master/ca.serial.txt'):
        true(re.search(line, plan.out, re.M), f'the plan does not show {line}')
    for task in ('Move the definitions there', 'Remove the member', 'Copy the serial', 'Say what would be restarted', 'Save a snapshot'):
        true(re.search(rf'^TASK \[[^]]*{task}\](?:(?!^TASK)[\s\S])*?^changed', plan.out, re.M), f'the plan does not show "{task}" as changed')

    lab.play('decommission-master', decommission_host='master-0', **CONFIRM).succeeds()
    gone(lab, 'master-0', ['master-1', 'master-2'])
    for port in (8443, 8444, 2379, 2380):
        equal(lab.look('master-0', f'ss -Hltn sport = :{port}'), '', f'port {port} of the retired host')
    equal(lab.look('master-0', 'ls /etc/origin/node/pods /etc/origin/node/pods/disabled | tr "\\n" " "').split(),
          ['/etc/origin/node/pods:', 'disabled', '/etc/origin/node/pods/disabled:', 'apiserver.yaml', 'controller.yaml', 'etcd.yaml'], 'static pods')
    for s in ('master-1', 'master-2'):
        equal(lab.look(s, 'cat /etc/origin/master/ca.serial.txt'), serial, f'serial of {s}')
        true(lab.look(s, 'systemctl show -p MainPID --value pod-apiserver') != pids[s], f'the API server of {s} was not restarted')
    equal(lab.look('master-1', 'openssl verify -CAfile /etc/etcd/ca/ca.crt /etc/etcd/peer.crt'), '/etc/etcd/peer.crt: OK', "etcd's CA")
    true('generated_certs/etcd-master-2' in lab.look('master-1', 'ls -d /etc/etcd/generated_certs/*'), 'generated_certs were not handed over')
    equal(lab.look('master-0', 'ls -A /backup/decommission'), 'master-0.json', 'what is left of the hand-over')
    for h in ('master-0', 'master-1', 'master-2'):
        equal(lab.look(h, f'cd /backup/{h}/2* && sha256sum --quiet -c MANIFEST.sha256 && stat -c %a . && echo fine').split(), ['700', 'fine'], f'backup of {h}')
        true('"hash"' in lab.look(h, 'ETCDCTL_API=3 etcdctl snapshot status -w json /backup/etcd-2*.db'), f'snapshot of {h}')
    listing = lab.look('master-0', 'cd /backup/master-0/2* && find . -type f -printf "%P\\n"').splitlines()
    equal([f for f in GOLDEN if f not in listing], [], "what the guide's listing has and the backup has not")
    equal(lab.look('master-0', 'cd /backup/master-0/2* && for d in origin sysconfig etcd; do diff -r etc/$d /etc/$d | grep -v "^Only in .*pods" ; done'), '',
          'the backup against the host')

    before = lab.tree()
    lab.play('decommission-master', decommission_host='master-0', **CONFIRM).unchanged()
    lab.same(before, 'a second run changed something')
    lab.play('verify').unchanged()
    lab.play('verify', decommission_host='master-0').unchanged()


def resumed(lab):
    """A run that breaks off in the restarts says so, and the next one ends the work."""
    lab.sh('master-2', 'mv /usr/local/bin/master-restart /root/; printf "#!/bin/sh\\necho broken >&2; exit 1\\n" > /usr/local/bin/master-restart; chmod 755 /usr/local/bin/master-restart')
    run = lab.play('decommission-master', decommission_host='master-0', **CONFIRM)
    run.refuses("Stopped in the phase 'API restarts one by one' on master-2")
    run.says('Done: guards, note on the survivors, backups of the masters').says('Not finished: API restarts one by one, flannel endpoints, inventory')
    true('master-0' in lab.groups()['masters'], 'the inventory was edited before the end')
    lab.sh('master-2', 'mv /root/master-restart /usr/local/bin/')
    lab.play('decommission-master', decommission_host='master-0', **CONFIRM).succeeds()
    gone(lab, 'master-0', ['master-1', 'master-2'])
    lab.play('decommission-master', decommission_host='master-0', **CONFIRM).unchanged()


def last_of_three(lab):
    """Not the first master: its entries stand at the end of the lists."""
    lab.play('decommission-master', decommission_host='master-2', **CONFIRM).succeeds()
    gone(lab, 'master-2', ['master-0', 'master-1'])


def one_phase(lab):
    """A phase alone runs the guards, and refuses to change a host without a backup."""
    run = lab.play('decommission-master', '--tags', 'load_balancer', decommission_host='master-0', **CONFIRM)
    run.refuses('Run with the tag backup first')
    equal(len(lab.servers()), 3, 'servers of the backend')
    lab.play('decommission-master', '--tags', 'backup', decommission_host='master-0', **CONFIRM).succeeds()
    lab.play('decommission-master', '--tags', 'load_balancer', decommission_host='master-0', **CONFIRM).succeeds()
    equal(sorted(lab.servers()), ['master-1.example.com', 'master-2.example.com'], 'servers of the backend')
    equal(len(lab.members()), 3, 'members after the load balancer alone')


CASES = [whole_way, resumed, last_of_three, one_phase]
