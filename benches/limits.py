"""Physical-limit probes, run inside the bench's lab: what OpenSSH, the kernel and the disk cost
with no configuration tool in the way.  Each probe: median [min..max] of N repeats, plus the CPU
of the two sides."""
import os, shutil, statistics, subprocess, time

import lab as b
import workloads as W


def round_trips(argv, send, times, skip):
    """Seconds of each round trip over one held process that answers every `send` with two bytes; the first are left out."""
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    t = []
    for _ in range(times):
        a = time.perf_counter()
        p.stdin.write(send)
        p.stdout.read(2)
        t.append(time.perf_counter() - a)
    p.stdin.close()
    p.wait()
    return t[skip:]


def run(lab, names, n):
    R = b.ROOT
    F = ['-F', R + '/ssh_config']
    h1 = '127.0.1.1'
    T = W.T + '/limit'

    def note(name, wall, ctl=None, tgt=None, per=1, what='', unit='ms'):
        k = 1e3 if unit == 'ms' else 1
        m = lambda v: '%.2f [%.2f..%.2f]' % (statistics.median(v) * k / per, min(v) * k / per, max(v) * k / per) if v else '-'
        print('%-28s wall %s %s  ctl cpu %s  tgt cpu %s   %s' % (name, m(wall), unit, m(ctl), m(tgt), what), flush=True)

    def clean():
        shutil.rmtree(T, ignore_errors=True)
        os.makedirs(T)

    def once(name, argv, per=1, reps=None, what='', fresh=False, unit='ms'):
        ws, cs, ts = [], [], []
        for _ in range(reps or max(n, 5)):
            if fresh:
                clean()
            x = b.execute(lab, argv, {}, R, 600)
            if x['rc'] != 0:
                print('%s: exit %s %s' % (name, x['rc'], x['out'][-200:]))
            ws.append(x['wall']); cs.append(x['ctl']); ts.append(x['tgt'])
        note(name, ws, cs, ts, per, what, unit)

    def want(k):
        return not names or k in names

    clean()
    sock = R + '/limit.sock'
    if want('process'):
        once('fork+exec /bin/true', ['/bin/true'], reps=20)
        once('python3 -c pass', ['/usr/bin/python3', '-c', 'pass'], reps=10)
        once('python3 -ISE -c pass', ['/usr/bin/python3', '-ISE', '-c', 'pass'], reps=10)
        once('import ansible.cli.playbook', [R + '/venv-tuned/bin/python', '-c', 'import ansible.cli.playbook'], reps=5)
    if want('ssh'):
        once('ssh cold + true', ['ssh'] + F + [h1, 'true'], reps=10, what='new connection, key auth')
        master = subprocess.Popen(['ssh'] + F + ['-M', '-N', '-S', sock, h1], stdin=subprocess.DEVNULL)
        for _ in range(100):
            if os.path.exists(sock):
                break
            time.sleep(0.05)
        t = []
        for _ in range(50):
            a = time.perf_counter()
            subprocess.run(['ssh'] + F + ['-S', sock, h1, 'true'], check=True)
            t.append(time.perf_counter() - a)
        note('ssh warm ControlMaster + true', t, what='a new ssh client process and channel each')
        for name, remote, send in (('echo over a channel (cat)', 'cat', b'x\n'),
                                   ('/bin/true in a held sh', 'sh', b'/bin/true; echo x\n'),
                                   ('python3 -c pass in a held sh', 'sh', b'/usr/bin/python3 -ISE -c pass; echo x\n')):
            note(name, round_trips(['ssh'] + F + ['-S', sock, h1, remote], send, 300 if 'python' not in name else 60, 5), what='one held channel, per round trip')
        # a resident helper: a held python that runs /bin/true by posix_spawn and answers
        code = "import os,sys\nwhile 1:\n l=sys.stdin.buffer.readline()\n if not l: break\n p=os.posix_spawn('/bin/true',['true'],{})\n os.waitpid(p,0)\n os.write(1,b'x\\n')"
        note('resident helper + /bin/true', round_trips(['ssh'] + F + ['-S', sock, h1, "exec python3 -ISE -c \"%s\"" % code], b'go\n', 300, 5), what='held helper spawns it, per round trip')
        master.terminate()
        master.wait()
    if want('fanout'):
        script = R + '/limit_mixed.sh'
        with open(script, 'w') as f:
            f.write('D=%s/$1/app; mkdir -p $D/conf.d; id -un >/dev/null\n' % W.T + 'for i in 0 1 2; do echo file $i > $D/f$i; echo conf $i > $D/conf.d/$i.conf; done\n'
                    'stat $D/f0 >/dev/null; /bin/true; echo PORT=8080 > $D/env; echo USER=root >> $D/env; cat $D/env | wc -l; ln -sfn $D/f0 $D/current; base64 $D/env\n')
        for k in (1, 10, 50, 100, 200):
            line = 'for a in %s; do ssh %s ${a#*=} sh -s ${a%%=*} < %s & done; wait' % (' '.join('%s=%s' % (W.host(i), W.addr(i)) for i in range(1, k + 1)), ' '.join(F), script)
            once('fan-out %d x ssh sh -s' % k, ['sh', '-c', line], reps=3, what='all of the 20 mixed tasks as one shell script, cold ssh to each', unit='s')
    if want('wan'):
        wf = ['-p', str(W.PORT + 1)]
        once('WAN 50 ms: ssh cold + true', ['ssh'] + F + wf + ['127.0.9.1', 'true'], reps=5)
        note('WAN 50 ms: channel echo', round_trips(['ssh'] + F + wf + ['127.0.9.1', 'cat'], b'x\n', 25, 3))
    if want('files'):
        D = R + '/data'
        once('sha1sum 100 MB', ['sha1sum', D + '/big.bin'])
        once('cp 100 MB', ['cp', D + '/big.bin', T + '/x'], fresh=True)
        once('scp 100 MB', ['scp', '-q'] + F + [D + '/big.bin', h1 + ':' + T + '/x'], fresh=True)
        once('rsync 100 MB', ['rsync', '-e', 'ssh ' + ' '.join(F), D + '/big.bin', h1 + ':' + T + '/x'], fresh=True)
        once('cat | ssh cat 100 MB', ['sh', '-c', 'ssh %s %s "cat > %s/x" < %s/big.bin' % (' '.join(F), h1, T, D)], fresh=True)
        once('fetch: ssh cat 100 MB', ['sh', '-c', 'ssh %s %s "cat %s/big.bin" > %s/y' % (' '.join(F), h1, D, T)], fresh=True)
        once('cp -r 1000 files', ['cp', '-r', D + '/tree1000', T + '/t'], fresh=True)
        once('tar | ssh tar 1000 files', ['sh', '-c', 'tar -C %s -cf - tree1000 | ssh %s %s "tar -C %s -xf -"' % (D, ' '.join(F), h1, T)], fresh=True)
        once('rsync -a 1000 files', ['rsync', '-a', '-e', 'ssh ' + ' '.join(F), D + '/tree1000', h1 + ':' + T + '/'], fresh=True)
