"""The peers, how each is installed and called, and the workloads they run."""
import glob, os, shutil, subprocess

import lab
import workloads as W
from lab import PY, ROOT

CORE, MITOGEN, PYINFRA, RS = '2.19.14', '0.3.54', '3.10.0', '0.16.0'
KEY = ROOT + '/id_ed25519'
VENVS = {'tuned': ['ansible-core==' + CORE], 'mitogen': ['ansible-core==' + CORE, 'mitogen==' + MITOGEN],
         'pyinfra': ['pyinfra==' + PYINFRA], 'rs': ['ansible-core-rs==' + RS, 'ansible-core==' + CORE]}
PEERS = ['dirigo', 'default', 'tuned', 'mitogen', 'rs', 'pyinfra']
WL = {}


def wl(name, pb, inv, fresh=False, n=1, args=(), tasks=1, pyi=None, timeout=1200, populate=False, warm=False):
    WL[name] = dict(pb=pb, inv=inv, fresh=fresh, n=n, args=list(args), tasks=tasks, pyi=pyi, timeout=timeout,
                    populate=populate, warm=warm)


wl('W1.version', None, None, args=['--version'])
wl('W1.syntax1', 'one', 'local.ini', args=['--syntax-check'])
wl('W1.syntax500', 'big', 'local.ini', args=['--syntax-check'])
wl('W1.debug1', 'one', 'local.ini')
wl('W1.command1', 'one_cmd', 'local.ini')
wl('W2.null', 'null', 'n1.ini', pyi='null')
wl('W2.command', 'command', 'n1.ini', tasks=100, pyi='command')
wl('W2.command_again', 'command', 'n1.ini', tasks=100, warm=True)
wl('W2.copy_new', 'copy', 'n1.ini', fresh=True, tasks=100, pyi='copy')
wl('W2.copy_same', 'copy', 'n1.ini', tasks=100, pyi='copy', populate=True)
wl('W2.template_new', 'template', 'n1.ini', fresh=True, tasks=100, pyi='template')
wl('W2.template_same', 'template', 'n1.ini', tasks=100, populate=True)
wl('W2.lineinfile', 'lineinfile', 'n1.ini', fresh=True, tasks=100, pyi='lineinfile')
wl('W2.stat', 'stat', 'n1.ini', tasks=100, pyi='stat')
wl('W2.loop', 'loop', 'n1.ini', tasks=100)
wl('W2.control', 'control', 'n1.ini', tasks=100)
wl('W2.include', 'include', 'n1.ini', tasks=100)
for _n in (10, 50, 100, 200):
    wl('W3.%d' % _n, 'mixed', 'n%d.ini' % _n, fresh=True, n=_n, tasks=20, pyi='mixed', timeout=3000)
for _n, _l in ((1000, '1k'), (5000, '5k')):
    wl('W4.load.' + _l, 'w4ctl', 'big%d' % _n, args=['--list-hosts'])
    wl('W4.ctl.' + _l, 'w4ctl', 'big%d' % _n, tasks=3, timeout=3000)
    wl('W4.sub200.' + _l, 'w4ctl', 'big%d' % _n, tasks=3, timeout=3000, args=['-l', 'all[0:199]'])
    wl('W4.hv1.' + _l, 'w4hv1', 'big%d' % _n, tasks=2, timeout=3000)
wl('W5.copy100m', 'copybig', 'n1.ini', fresh=True, pyi='copybig')
wl('W5.fetch100m', 'fetchbig', 'n1.ini', fresh=True, pyi='fetchbig')
wl('W5.tree100', 'tree100', 'n1.ini', fresh=True, pyi='tree100')
wl('W5.tree1000', 'tree1000', 'n1.ini', fresh=True, pyi='tree1000', timeout=3000)
wl('W5.tree1000_same', 'tree1000', 'n1.ini', populate=True, timeout=3000)
wl('W6.1', 'facts', 'n1.ini', pyi='facts')
wl('W6.50', 'facts', 'n50.ini', n=50, pyi='facts')
wl('W7.50ms', 'mixed', 'wan.ini', fresh=True, tasks=20, pyi='mixed')
wl('W7.independent', 'independent', 'wan.ini', fresh=True, tasks=20)
wl('W7.tree_same', 'tree1000', 'wan.ini', populate=True, timeout=3000)
# the rows of the table in docs/performance.md, and the peers that say nothing in one
TABLE = {
    'W1.version': (), 'W1.syntax500': (), 'W2.command': (), 'W2.command_again': ('tuned', 'mitogen', 'rs'),
    'W2.copy_new': (), 'W2.copy_same': (),
    'W2.template_new': (), 'W2.template_same': (), 'W2.lineinfile': (), 'W2.stat': (), 'W2.loop': (), 'W2.control': (),
    'W2.include': (), 'W6.1': (), 'W6.50': (), 'W7.50ms': (), 'W7.independent': ('tuned', 'mitogen', 'rs'),
    'W7.tree_same': ('tuned', 'mitogen', 'rs'), 'W5.copy100m': (), 'W5.fetch100m': (), 'W4.hv1.5k': ('rs',),
    'W3.100': ('tuned', 'mitogen', 'rs'), 'W3.200': ('tuned', 'mitogen', 'rs'), 'W4.ctl.1k': ('rs',), 'W3.50': ('rs',),
    'W5.tree1000': (), 'W5.tree1000_same': (),
}

CFG_DEFAULT = '[defaults]\nhost_key_checking = False\n'
CFG_TUNED = '''[defaults]
host_key_checking = False
forks = 50
gathering = explicit
interpreter_python = /usr/bin/python3
%s
[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o PreferredAuthentications=publickey
'''
SSHD = '''Port %(port)d
ListenAddress 0.0.0.0
HostKey %(root)s/hostkey
AuthorizedKeysFile %(root)s/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 2000:30:4000
MaxSessions 1000
UseDNS no
PrintMotd no
PidFile %(root)s/sshd.pid
LogLevel ERROR
AcceptEnv LANG LC_*
SetEnv HOME=%(root)s/home PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp /usr/lib/openssh/sftp-server
'''
SSH = '''Host *
  Port %d
  User root
  IdentityFile %s
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
'''


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)


def setup(peers):
    """Virtual environments of the peers (by pip), keys, sshd's configuration, playbooks and inventories."""
    os.makedirs(ROOT + '/home', exist_ok=True)
    missing = [p for p in ('openssh-server', 'openssh-sftp-server', 'python3-venv', 'rsync')
               if subprocess.run(['dpkg', '-s', p], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode]
    if missing:
        print('bench: installing ' + ' '.join(missing), flush=True)
        subprocess.run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', *missing], check=True, stdout=subprocess.DEVNULL)
    for name in peers:
        venv = '%s/venv-%s' % (ROOT, 'tuned' if name == 'default' else name)
        packages = VENVS.get('tuned' if name == 'default' else name)
        if packages and not os.path.exists(venv + '/ready'):
            print('bench: installing %s' % ' '.join(packages), flush=True)
            subprocess.run([PY, '-m', 'venv', '--clear', venv], check=True)
            subprocess.run([venv + '/bin/pip', 'install', '-q', *packages], check=True)
            if name == 'rs':      # both packages own bin/ansible: the later one must win
                subprocess.run([venv + '/bin/pip', 'install', '-q', '--force-reinstall', '--no-deps', packages[0]], check=True)
            write(venv + '/ready', '')
    if not os.path.exists(KEY):
        for k in (KEY, ROOT + '/hostkey'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', k], check=True)
    shutil.copy(KEY + '.pub', ROOT + '/authorized_keys')
    write(ROOT + '/sshd_config', SSHD % {'port': W.PORT, 'root': ROOT})
    write(ROOT + '/ssh_config', SSH % (W.PORT, KEY))
    g = glob.glob(ROOT + '/venv-mitogen/lib/python3*/site-packages/ansible_mitogen/plugins/strategy')
    strategy = 'strategy_plugins = %s\nstrategy = mitogen_linear\n' % g[0] if g else ''
    for name, text in (('default', CFG_DEFAULT), ('tuned', CFG_TUNED % ''), ('mitogen', CFG_TUNED % strategy)):
        write('%s/%s.cfg' % (ROOT, name), text)
    W.generate(ROOT, KEY)


def command(peer, name, dirigo):
    """(argv, environment, working directory) of a peer's run of a workload, or None where it has none."""
    x = WL[name]
    inv = ROOT + '/inv/' + x['inv'] if x['inv'] else None
    if peer == 'pyinfra':
        if not x['pyi']:
            return None
        return [ROOT + '/venv-pyinfra/bin/pyinfra', '-y', inv.replace('.ini', '.py'), x['pyi'] + '.py'], {}, ROOT + '/pyi'
    exe = {'dirigo': [dirigo, 'playbook'], 'rs': [ROOT + '/venv-rs/bin/ansible', 'playbook'],
           'mitogen': [ROOT + '/venv-mitogen/bin/ansible-playbook']}.get(peer, [ROOT + '/venv-tuned/bin/ansible-playbook'])
    if name == 'W1.version' and len(exe) == 2:
        exe = exe[:1]
    cfg = peer if peer in ('default', 'mitogen') else 'tuned'
    argv = exe + x['args'] + (['-i', inv, x['pb'] + '.yml'] if x['pb'] else [])
    return argv, {'ANSIBLE_CONFIG': '%s/%s.cfg' % (ROOT, cfg)}, ROOT + '/pb'


def prepare(name, wipe):
    """The targets' folders, empty when asked."""
    if wipe:
        shutil.rmtree(W.T, ignore_errors=True)
    for h in [W.host(i) for i in range(1, WL[name]['n'] + 1)] + ['wan1', 'fetched']:
        os.makedirs(W.T + '/' + h, exist_ok=True)
