"""The lab as the tests see it, and one run of dirigo with what can be asked about it."""
import difflib
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIRM = {'decommission_allow_even_etcd': 'true'}
HOSTS = ['lb-0', 'master-0', 'master-1', 'master-2', 'node-0', 'node-1']


class Failed(Exception):
    """A claim that does not hold; the text says which, with what was seen."""


def program():
    """The dirigo to test: $DIRIGO, or the newest build."""
    if os.environ.get('DIRIGO'):
        return os.environ['DIRIGO'].split()
    built = [p for pattern in ('*/dirigo', '*/*/dirigo') for p in (ROOT / 'target').glob(pattern) if p.is_file()]
    if not built:
        raise SystemExit('e2e: no dirigo under target/: run cargo build first')
    return [str(max(built, key=lambda p: p.stat().st_mtime))]


class Run:
    """One finished run of dirigo playbook."""

    def __init__(self, args, done):
        self.args, self.rc, self.out = args, done.returncode, done.stdout + done.stderr

    def recap(self):
        """host -> {ok, changed, unreachable, failed, skipped, rescued, ignored}"""
        tail = self.out.rpartition('PLAY RECAP')[2]
        return {m[1]: {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', m[2])}
                for m in re.finditer(r'^(\S+)\s+: (.*)$', tail, re.M)}

    def tail(self):
        """What to show of a run that went wrong: its errors, or its end."""
        lines = self.out.splitlines()
        bad = [i for i, line in enumerate(lines) if re.match(r'(fatal|failed|\[ERROR\]|error|ERROR)', line)]
        shown = lines[bad[0]:bad[0] + 12] if bad else lines[-15:]
        return f'$ {" ".join(self.args)}\nrc {self.rc}\n' + '\n'.join(line[:400] for line in shown)

    def succeeds(self):
        """Exit code 0 and a recap without failures."""
        if self.rc != 0:
            raise Failed(f'it did not succeed\n{self.tail()}')
        recap = self.recap()
        if not recap:
            raise Failed(f'there is no recap\n{self.tail()}')
        for host, n in recap.items():
            if n['failed'] or n['unreachable']:
                raise Failed(f'{host} failed: {n}\n{self.tail()}')
        return self

    def refuses(self, words, rc=2):
        """The exit code of a failed run, and the words in its output."""
        if self.rc != rc:
            raise Failed(f'wanted exit code {rc}\n{self.tail()}')
        return self.says(words)

    def says(self, words):
        """The words are in the output, whatever the line breaks."""
        if words not in re.sub(r'\s+', ' ', self.out.replace('\\n', ' ')):
            raise Failed(f'{words!r} is not in the output\n{self.tail()}')
        return self

    def unchanged(self):
        """Nothing is reported as changed."""
        self.succeeds()
        changed = {h: n['changed'] for h, n in self.recap().items() if n['changed']}
        if changed:
            tasks = re.findall(r'^TASK \[(.*?)\](?:(?!^TASK).)*?^changed', self.out, re.M | re.S)
            raise Failed(f'a run that should change nothing reports {changed}: {tasks[:6]}')
        return self


class Lab:
    """Boots on first use; every case begins with pristine hosts and a fresh copy of the inventory."""

    def __init__(self, work):
        self.work = work
        self.env = dict(os.environ, LAB_N=os.environ.get('LAB_N', '8'))
        n = self.env['LAB_N']
        self.dir = pathlib.Path(self.env.get('LAB_DIR', f'/var/tmp/dirigo-lab/{"run" if n == "0" else f"run-{n}"}'))
        self.inventory = work / 'inventory'
        self.dirty = None
        self.dirigo = None

    def ctl(self, *args, check=True, **kw):
        """tests/lab/lab ARGS; its output."""
        done = subprocess.run([str(ROOT / 'tests/lab/lab'), *args], env=self.env, text=True, capture_output=True, **kw)
        if check and done.returncode:
            raise Failed(f'lab {" ".join(args)}: rc {done.returncode}: {done.stdout}{done.stderr}')
        return done.stdout

    def unable(self):
        """Why there can be no lab here, or nothing."""
        done = subprocess.run([str(ROOT / 'tests/lab/lab'), 'can'], env=self.env, text=True, capture_output=True)
        return done.stderr.strip() if done.returncode else ''

    def begin(self):
        """Pristine hosts, a fresh copy of the inventory, and etcd and the balancer ready."""
        if self.dirigo is None:
            self.dirigo = program()
            self.ctl('deps')
            self.ctl('down')
            self.ctl('up')
        elif self.dirty:
            self.ctl('reset')
        self.dirty = False
        shutil.rmtree(self.inventory, ignore_errors=True)
        shutil.copytree(self.dir / 'inventory', self.inventory)
        self.wait_healthy(3)

    def wait_healthy(self, count):
        """etcd has so many healthy members."""
        for _ in range(40):
            if len(self.healthy()) == count:
                return
            subprocess.run(['sleep', '0.5'])
        raise Failed(f'etcd has not {count} healthy members: {self.healthy()}')

    def down(self):
        """The lab is taken down."""
        self.ctl('down', check=False)

    def sh(self, host, script, check=True):
        """A shell script inside a host; its output."""
        self.dirty = True
        return self.ctl('exec', host, 'bash', '-c', script, check=check).strip()

    def look(self, host, script):
        """As sh, for scripts that only read."""
        return self.ctl('exec', host, 'bash', '-c', script, check=False).strip()

    def play(self, name, *options, **extra):
        """dirigo playbook -i INVENTORY playbooks/NAME.yml with extra vars."""
        args = ['playbook', '-i', str(self.inventory), f'playbooks/{name}.yml', *options]
        for key, value in extra.items():
            args += ['-e', f'{key}={value}']
        if '--check' not in options:
            self.dirty = True
        done = subprocess.run([*self.dirigo, *args], cwd=ROOT, env=self.env, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=900)
        (self.work / 'last.log').write_text(done.stdout + done.stderr)
        if os.environ.get('KEEP_LOG'):
            with open(os.environ['KEEP_LOG'], 'a') as log:
                log.write(f'\n##### {" ".join(args)}\n{done.stdout}{done.stderr}')
        return Run(args, done)

    # ---- what is there --------------------------------------------------
    def tree(self):
        """One line a file of everything a check run must not touch, and the running services."""
        services = '\n'.join(h + ' ' + self.look(h, 'systemctl show -p MainPID --value etcd pod-apiserver pod-controller haproxy flanneld '
                                                    '2>/dev/null | tr "\\n" " "') for h in HOSTS if self.alive(h))
        inventory = '\n'.join(f'{p.name} {p.read_text()}' for p in sorted(self.inventory.rglob('*')) if p.is_file())
        return self.ctl('tree') + services + inventory + self.etcdctl('member list')

    def alive(self, host):
        """The host runs."""
        return ' off' not in next(line for line in self.ctl('status').splitlines() if line.startswith(host + ' '))

    def same(self, before, text):
        """The tree is what it was."""
        after = self.tree()
        if before != after:
            lines = [d for d in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm='', n=0)][:12]
            raise Failed(f'{text}:\n' + '\n'.join(lines))

    def etcdctl(self, command):
        """etcdctl on the first master that runs etcd."""
        for host in HOSTS[1:4]:
            out = self.look(host, 'ETCDCTL_API=3 etcdctl --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/peer.crt --key=/etc/etcd/peer.key '
                                  f'--endpoints=https://$(hostname -I | cut -d" " -f1):2379 {command} 2>&1')
            if out and 'Error' not in out.splitlines()[-1] and 'refused' not in out and 'deadline' not in out:
                return out
        return out

    def members(self):
        """Names of the members."""
        return sorted(line.split(', ')[2] for line in self.etcdctl('member list').splitlines() if line.count(', ') >= 4)

    def healthy(self):
        """Client URLs of healthy members."""
        return re.findall(r'^(\S+) is healthy', self.etcdctl('endpoint health --cluster'), re.M)

    def servers(self):
        """server -> state of the balancer's backend."""
        for _ in range(30):
            stat = self.look('lb-0', 'echo "show stat" | socat - /run/haproxy/admin.sock')
            rows = [line.split(',') for line in stat.splitlines() if line.startswith('mgmt8443,master')]
            states = {r[1]: r[17] for r in rows}
            if states and set(states.values()) == {'UP'}:
                return states
            subprocess.run(['sleep', '0.5'])
        return states

    def groups(self):
        """The lines of the inventory by group."""
        groups, name = {}, None
        for line in (self.inventory / 'hosts').read_text().splitlines():
            if line.startswith('['):
                name = line.strip('[]')
                groups[name] = []
            elif line.strip() and not line.startswith('#') and name:
                groups[name].append(line.split()[0])
        return groups

    def edit(self, old, new):
        """Text of the inventory replaced."""
        path = self.inventory / 'hosts'
        text = path.read_text()
        if old not in text:
            raise Failed(f'{old!r} is not in the inventory')
        path.write_text(text.replace(old, new))


def equal(found, wanted, what):
    """Two values are the same."""
    if found != wanted:
        raise Failed(f'{what}: wanted {wanted!r}, found {found!r}')


def true(condition, what):
    """Something holds."""
    if not condition:
        raise Failed(what)
