"""What no tool can be faster than, or should cost no more than: OpenSSH, tar and the shell doing the same work. A bound is
measured in the same rounds as the workload it belongs to, as one more peer named `bound`."""
import os, shutil

import lab as L
import workloads as W

SSH = 'ssh -F %s/ssh_config' % L.ROOT
WAN = '%s -p %d 127.0.9.1' % (SSH, W.PORT + 1)
RTT = 0.05
T = W.T + '/limit'


def shell(line, fresh=False):
    """A function that runs this line of sh in the lab; `fresh`: its folder on the target is empty before."""
    def run(lab, _local):
        if fresh:
            shutil.rmtree(T, ignore_errors=True)
            os.makedirs(T)
        return L.execute(lab, ['sh', '-c', line], {}, L.ROOT, 600)
    return run


def fan_out(n):
    """One ssh for each host, all at once, each with the 20 mixed tasks as one shell script."""
    script = L.ROOT + '/limit_mixed.sh'
    with open(script, 'w') as f:
        f.write('D=%s/$1/app; mkdir -p $D/conf.d; id -un >/dev/null\n' % W.T +
                'for i in 0 1 2; do echo file $i > $D/f$i; echo conf $i > $D/conf.d/$i.conf; done\n'
                'stat $D/f0 >/dev/null; /bin/true; echo PORT=8080 > $D/env; echo USER=root >> $D/env; cat $D/env | wc -l; ln -sfn $D/f0 $D/current; base64 $D/env\n')
    pairs = ' '.join('%s=%s' % (W.host(i), W.addr(i)) for i in range(1, n + 1))
    return 'for a in %s; do %s ${a#*=} sh -s ${a%%%%=*} < %s & done; wait' % (pairs, SSH, script)


HELD = ('d=$(mktemp -d); mkfifo $d/i $d/o; %s 127.0.1.1 sh <$d/i >$d/o & exec 3>$d/i 4<$d/o; rm -r $d; i=0; '
        'while [ $i -lt 100 ]; do echo "/bin/true; echo x" >&3; read x <&4; i=$((i+1)); done; exec 3>&-; wait') % SSH


def no_link(lab, local):
    """What the workload would take over the slow link if only the handshake and one session went over it: its time on a
    near host, and what the link adds to `ssh HOST true`."""
    far, near, same = shell(WAN + ' true')(lab, None), shell(SSH + ' 127.0.1.1 true')(lab, None), local()
    return dict(same, wall=same['wall'] + far['wall'] - near['wall'])


class Bound:
    """`what`: the key of a run that is compared as Dirigo's / the bound's; 'trips': the wall time beyond the bound's, in
    round trips. `most`: the goal for it. `run(lab, local)`: `local()` runs the workload on the host `wan1` without the slow
    link."""

    def __init__(self, text, most, what, run):
        self.text, self.most, self.what, self.run = text, most, what, run

    def value(self, dirigo, bound):
        if self.what == 'trips':
            return (dirigo['wall'] - bound['wall']) / RTT
        return dirigo[self.what] / max(bound[self.what], 1e-4)


D = L.ROOT + '/data'
BOUNDS = {
    'W2.command': Bound('wall of 100 × /bin/true over one held ssh', 2.5, 'wall', shell(HELD)),
    'W3.50': Bound("controller's CPU of 50 × ssh with a script", 1.5, 'ctl', lambda *a: shell(fan_out(50))(*a)),
    'W3.100': Bound('wall of 100 × ssh with a script', 1.3, 'wall', lambda *a: shell(fan_out(100))(*a)),
    'W3.200': Bound('wall of 200 × ssh with a script', 1.3, 'wall', lambda *a: shell(fan_out(200))(*a)),
    'W5.copy100m': Bound('wall of scp', 1.3, 'wall', shell('scp -q -F %s/ssh_config %s/big.bin 127.0.1.1:%s/x' % (L.ROOT, D, T), True)),
    'W5.fetch100m': Bound('wall of scp', 1.3, 'wall', shell('scp -q -F %s/ssh_config 127.0.1.1:%s/big.bin %s/y' % (L.ROOT, D, T), True)),
    'W5.tree1000': Bound('wall of tar over ssh', 2, 'wall', shell('tar -C %s -cf - tree1000 | %s 127.0.1.1 "tar -C %s -xf -"' % (D, SSH, T), True)),
    # seven of the tasks use a result of an earlier one; two of the round trips find and start the agent
    'W7.50ms': Bound('round trips beyond those of ssh HOST true', 9, 'trips', no_link),
    'W7.independent': Bound('round trips beyond those of ssh HOST true', 4, 'trips', no_link),
    'W7.tree_same': Bound('round trips beyond those of ssh HOST true', 3, 'trips', no_link),
}
# proportional memory of the controller with its masters, MB
MEMORY = {'W3.50': 150}
