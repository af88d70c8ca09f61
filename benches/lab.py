"""The bench's own network namespace with one sshd that answers on all of 127.0.0.0/8, and the measuring of one run:
wall time, CPU of controller and targets (two cgroups), memory. Nothing listens outside."""
import atexit, ctypes, fcntl, os, re, shutil, signal, socket, struct, subprocess, sys, threading, time

import workloads as W

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get('DIRIGO_BENCH_ROOT', '/var/tmp/dirigo-bench')
PY = '/usr/bin/python3'
PAGE = os.sysconf('SC_PAGE_SIZE')


def cgroup(name):
    """A new cgroup that counts CPU time: (its folder, a function that reads the seconds used)."""
    if os.path.exists('/sys/fs/cgroup/cgroup.controllers'):
        d = '/sys/fs/cgroup/' + name
        os.mkdir(d)

        def usage():
            with open(d + '/cpu.stat') as f:
                return int(f.read().split()[1]) / 1e6
    else:
        d = '/sys/fs/cgroup/cpuacct/' + name
        os.mkdir(d)

        def usage():
            with open(d + '/cpuacct.usage') as f:
                return int(f.read()) / 1e9
    return d, usage


class Lab:
    def __init__(self):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000):
            sys.exit('bench: unshare(CLONE_NEWNET) failed (needs root): %s' % os.strerror(ctypes.get_errno()))
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x1 | 0x40))    # SIOCSIFFLAGS UP|RUNNING
        s.close()
        libc.prctl(36, 1, 0, 0, 0)                                            # child subreaper
        self.ctl, self.ctl_usage = cgroup('dirigo_bench_ctl_%d' % os.getpid())
        self.tgt, self.tgt_usage = cgroup('dirigo_bench_tgt_%d' % os.getpid())
        self.procs = []
        atexit.register(self.close)
        for g in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(g, lambda *_: sys.exit(1))
        os.makedirs('/run/sshd', exist_ok=True)
        self.sshd = self.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', ROOT + '/sshd_config'], self.tgt)
        self.spawn([PY, HERE + '/delayproxy.py', '127.0.9.1', str(W.PORT + 1), '127.0.0.1', str(W.PORT), '50'], None)
        for _ in range(100):
            try:
                socket.create_connection(('127.0.1.1', W.PORT), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(0.3)

    def spawn(self, argv, cg):
        def pre():
            if cg:
                with open(cg + '/cgroup.procs', 'w') as f:
                    f.write('0')
        p = subprocess.Popen(argv, preexec_fn=pre, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=open(ROOT + '/spawn.log', 'a'))
        self.procs.append(p)
        return p

    def pids(self, cg):
        with open(cg + '/cgroup.procs') as f:
            return [int(x) for x in f.read().split()]

    def reap(self):
        known = {p.pid for p in self.procs}
        try:
            while True:
                r = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if r is None or r.si_pid in known:
                    break
                os.waitpid(r.si_pid, 0)
        except ChildProcessError:
            pass

    def settle(self, cg, keep=()):
        """Wait until the group is empty; its ssh masters are ended by pid."""
        end = time.time() + 8
        sig = signal.SIGTERM
        while True:
            self.reap()
            left = [p for p in self.pids(cg) if p not in keep]
            if not left or time.time() > end:
                return
            if cg == self.ctl or time.time() > end - 5:
                for p in left:
                    try:
                        os.kill(p, sig)
                    except OSError:
                        pass
            if time.time() > end - 3:
                sig = signal.SIGKILL
            time.sleep(0.02)

    def close(self):
        for p in self.procs:
            if p.poll() is None:
                p.terminate()
        for p in self.procs:
            try:
                p.wait(3)
            except Exception:
                p.kill()
                p.wait()
        for d in (self.ctl, self.tgt):
            self.settle(d)
            try:
                os.rmdir(d)
            except OSError:
                pass


def sampler(lab, stop, out, pss):
    while not stop.is_set():
        tot = n = 0
        for p in lab.pids(lab.ctl):
            try:
                if pss:
                    with open('/proc/%d/smaps_rollup' % p) as f:
                        v = int(re.search(r'^Pss:\s+(\d+)', f.read(), re.M).group(1)) * 1024
                else:
                    with open('/proc/%d/statm' % p) as f:
                        v = int(f.read().split()[1]) * PAGE
            except (OSError, AttributeError, ValueError):
                continue
            tot += v
            n += 1
        out['sum'] = max(out['sum'], tot)
        out['n'] = max(out['n'], n)
        # it shares the processors with what it looks at
        stop.wait(0.15 if pss or n < 10 else 0.5)


def hold(argv, env, cwd, group, log):
    """A process in the group that waits to become this command: (its pid, the function that lets it go). To enter a
    group takes the kernel up to 30 ms, which are no part of the run."""
    come, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            with open(group + '/cgroup.procs', 'w') as f:
                f.write('0')
            os.chdir(cwd)
            for at, path, flags in ((0, '/dev/null', os.O_RDONLY), (1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
                os.dup2(os.open(path, flags, 0o600), at)
            os.dup2(1, 2)
            for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(s, signal.SIG_DFL)
            os.write(come[1], b'x')
            os.read(go[0], 1)
            os.execvpe(argv[0], argv, env)
        except BaseException as e:
            os.write(2, ('%s: %s\n' % (argv[0], e)).encode())
        os._exit(127)
    os.close(come[1])
    os.close(go[0])
    os.read(come[0], 1)
    os.close(come[0])

    def release():
        os.write(go[1], b'x')
        os.close(go[1])
    return pid, release


def execute(lab, argv, env, cwd, timeout, pss=False, warm=None):
    """Run one command: dict(wall, ctl, tgt in seconds; rss in MB (PSS when asked); nproc, rc, recap, out, late). The
    clock starts when the command is executed in its group.

    `warm`: a folder for ssh masters that is kept from run to run; without it every run starts with none.
    `timeout`: seconds after which it is ended; then `late` is true."""
    os.makedirs(ROOT + '/out', exist_ok=True)
    logf = ROOT + '/out/run.log'
    cp = warm or ROOT + '/cp%d' % time.time_ns()
    os.makedirs(cp, exist_ok=True)
    e = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': os.environ.get('HOME', '/root'),
         'LANG': 'C.UTF-8', 'ANSIBLE_SSH_CONTROL_PATH_DIR': cp, 'ANSIBLE_NOCOWS': '1'}
    e.update({k: v for k, v in os.environ.items() if k.startswith('DIRIGO_SEND')})
    e.update(env)
    pid, release = hold(argv, e, cwd, lab.ctl, logf)
    c0, t0 = lab.ctl_usage(), lab.tgt_usage()
    st = {'sum': 0, 'n': 0}
    stop, late = threading.Event(), threading.Event()

    def end():
        late.set()
        for s in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, s)
            except OSError:
                return
            if stop.wait(5):
                return
    th = threading.Thread(target=sampler, args=(lab, stop, st, pss))
    limit = threading.Timer(timeout, end)
    limit.start()
    w0 = time.perf_counter()
    release()
    th.start()
    rc = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    wall = time.perf_counter() - w0
    limit.cancel()
    stop.set()
    th.join()
    if not warm:
        lab.settle(lab.ctl)
        lab.settle(lab.tgt, keep={lab.sshd.pid})
        shutil.rmtree(cp, ignore_errors=True)
    out = open(logf, errors='replace').read()
    rec = []
    if 'PLAY RECAP' in out:
        rec = sorted(re.sub(r'\s+', ' ', l) for l in out.split('PLAY RECAP', 1)[1].splitlines()[1:] if ': ok=' in l)
    return dict(wall=wall, ctl=lab.ctl_usage() - c0, tgt=lab.tgt_usage() - t0, rss=st['sum'] / 2**20, nproc=st['n'],
                rc=rc, recap=rec, out=out, late=late.is_set())
