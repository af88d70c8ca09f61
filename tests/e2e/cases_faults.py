"""Faults in the middle of a run. After each: no half-written file, no process left, every host once in the recap, the other
hosts go on, and a second run completes the work."""
import os
import re
import signal
import subprocess
import threading
import time

from lab import ROOT, Failed, Run, equal, true

TWO = ['node-0', 'node-1']


def write(lab, text, name='play.yml'):
    """A playbook of the case's own, on both nodes."""
    path = lab.work / name
    path.write_text('- hosts: node-0,node-1\n  gather_facts: false\n  tasks:\n' + '\n'.join('    ' + line for line in text.strip().splitlines()) + '\n')
    return path


def start(lab, play, *options):
    """dirigo playbook, running; wait(...) ends it."""
    lab.dirty = True
    args = ['playbook', '-i', str(lab.inventory), str(play), *options]
    out = open(lab.work / f'run-{time.monotonic_ns()}.log', 'w+')
    process = subprocess.Popen([*lab.dirigo, *args], cwd=ROOT, env=lab.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    process.log, process.words = out, args
    return process


def wait(process, seconds=90):
    """The finished run; one that does not end by itself is a fault."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failed(f'the run did not end within {seconds} s\n{shown(process)[-2000:]}') from None
    return Run(process.words, subprocess.CompletedProcess(process.words, process.returncode, shown(process), ''))


def shown(process):
    """What the run has printed so far."""
    process.log.seek(0)
    return process.log.read()


def until(what, condition, seconds=30):
    """Waits for something to come true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f'it never came true: {what}')


def run(lab, play, *options):
    """A run from beginning to end."""
    return wait(start(lab, play, *options))


def agents(lab, host):
    """Processes of the agent and of what it started."""
    return lab.look(host, "pgrep -af '/dirigo-[0-9]+/agent-[0-9a-f]{64}|sleep 7[0-9]' | grep -v pgrep").splitlines()


def nothing_left(lab, hosts=TWO, folders=('/tmp', '/var/tmp', '/srv')):
    """No process and no temporary file is left on the hosts."""
    for host in hosts:
        until(f'no process of ours on {host}', lambda h=host: not agents(lab, h))
        left = lab.look(host, f'find {" ".join(folders)} /home/ops /root -xdev \\( -name "*dirigo_tmp*" -o -name ".ansible_tmp*" -o -name "ansible-tmp-*" \\) 2>/dev/null')
        equal(left, '', f'temporary files on {host}')


def once_each(result, hosts=TWO):
    """Every host once in the recap."""
    rows = re.findall(r'^(\S+)\s+: ok=', result.out.rpartition('PLAY RECAP')[2], re.M)
    equal(sorted(rows), sorted(hosts), f'hosts of the recap\n{result.tail()}')


def big_file(lab, megabytes=48):
    """Content that takes its time over a slow link."""
    path = lab.work / 'big'
    path.write_bytes(os.urandom(1 << 20) * megabytes)
    return path


def copy_of(lab, big):
    """A play that copies it over an older content."""
    for host in TWO:
        lab.sh(host, 'mkdir -p /srv && echo old > /srv/big')
    return write(lab, f'- copy: {{src: {big}, dest: /srv/big, mode: "0640"}}\n- command: cat /proc/uptime')


def whole(lab, host, big):
    """The copy is whole; old content is whole, too."""
    return lab.look(host, 'sha256sum < /srv/big') == lab.look(host, 'echo old | sha256sum') or \
        lab.look(host, 'stat -c "%s %a" /srv/big') == f'{big.stat().st_size} 640'


def agent_killed(lab):
    """The agent is killed in the middle of a copy: that host fails, the file is the old or the new one, the next run does it."""
    big = big_file(lab)
    play = copy_of(lab, big)
    lab.ctl('delay', 'node-0', '40')
    process = start(lab, play)
    until('the agent is at work', lambda: agents(lab, 'node-0'))
    time.sleep(0.4)
    lab.sh('node-0', 'pkill -KILL ^agent-', check=False)
    result = wait(process)
    lab.ctl('delay', 'node-0', '0')
    once_each(result)
    equal(result.recap()['node-1']['failed'] + result.recap()['node-1']['unreachable'], 0, 'failures of the other host')
    true(result.rc in (2, 4), f'the exit code is {result.rc}\n{result.tail()}')
    true(whole(lab, 'node-0', big), 'the file is neither the old nor the new one')
    run(lab, play).succeeds()
    equal(lab.look('node-0', 'stat -c "%s %a" /srv/big'), f'{big.stat().st_size} 640', 'the copy')
    nothing_left(lab)


def master_killed(lab):
    """The ssh master of a host dies in the middle of a task."""
    play = write(lab, '- shell: echo $$ > /srv/started; sleep 71; touch /srv/done\n  when: inventory_hostname == "node-0"\n- command: /bin/true')
    lab.sh('node-0', 'mkdir -p /srv; rm -f /srv/started')
    process = start(lab, play)
    until('the task has begun', lambda: lab.look('node-0', 'cat /srv/started 2>/dev/null'))
    address = lab.ctl('hosts').split('node-0 node ')[1].split()[0]
    masters = subprocess.run(['pgrep', '-f', f'ssh.*{re.escape(address)}'], capture_output=True, text=True).stdout.split()
    true(masters, 'no ssh master is there')
    for pid in masters:
        os.kill(int(pid), signal.SIGKILL)
    result = wait(process)
    once_each(result)
    equal((result.rc, result.recap()['node-0']['unreachable'], result.recap()['node-1']['failed']), (4, 1, 0), f'the end\n{result.tail()}')
    nothing_left(lab)
    equal(lab.look('node-0', 'ls /srv/done 2>&1 | grep -c "No such"'), '1', 'the task that was cut went on')
    run(lab, write(lab, '- command: /bin/true')).succeeds()


def link_cut_and_healed(lab):
    """Two seconds without a link are no fault."""
    play = write(lab, '- shell: sleep 3; echo $RANDOM > /srv/result\n- slurp: {src: /srv/result}')
    lab.sh('node-0', 'mkdir -p /srv')
    lab.sh('node-1', 'mkdir -p /srv')
    process = start(lab, play)
    until('the task runs', lambda: 'sleep 3' in lab.look('node-0', 'pgrep -af "sleep 3"'))
    lab.ctl('cut', 'node-0')
    time.sleep(2)
    lab.ctl('heal', 'node-0')
    result = wait(process).succeeds()
    equal({h: n['changed'] for h, n in result.recap().items()}, {'node-0': 1, 'node-1': 1}, 'changed')


def frozen(lab):
    """A host that answers no more is unreachable in time; the others go on."""
    play = write(lab, '- shell: sleep 2\n- command: /bin/true\n- command: /bin/false\n  failed_when: false')
    process = start(lab, play, '-T', '3', '-e', 'ansible_ssh_extra_args="-o ServerAliveInterval=1 -o ServerAliveCountMax=3"')
    until('the task runs', lambda: 'sleep 2' in lab.look('node-0', 'pgrep -af "sleep 2"'))
    lab.ctl('freeze', 'node-0')
    result = wait(process)
    lab.ctl('thaw', 'node-0')
    once_each(result)
    equal((result.rc, result.recap()['node-0']['unreachable'], result.recap()['node-1']['ok']), (4, 1, 3), f'the end\n{result.tail()}')
    nothing_left(lab)


def disk_full(lab):
    """No room and no right to write: the old content stays, nothing else does, and the words say why."""
    lab.sh('node-1', 'mkdir -p /mnt/full /mnt/ro && mount -t tmpfs -o size=2m tmpfs /mnt/full && mount -t tmpfs tmpfs /mnt/ro && '
                     'echo old > /mnt/full/f && echo old > /mnt/ro/f && mount -o remount,ro /mnt/ro')
    big = big_file(lab, 8)
    tasks = [f'- copy: {{src: {big}, dest: /mnt/full/f}}', f'- copy: {{src: {big}, dest: /mnt/ro/f}}',
             '- lineinfile: {path: /mnt/ro/f, line: new}', '- copy: {content: new, dest: /mnt/ro/g}',
             '- shell: echo x > /mnt/full/g', f'- template: {{src: {big}.j2, dest: /mnt/full/t}}']
    (lab.work / 'big.j2').write_text('{{ "line\n" * 1000000 }}')
    for task in tasks[:4] + tasks[5:]:
        result = run(lab, write(lab, task), '--limit', 'node-1')
        equal((result.rc, result.recap().get('node-1', {}).get('failed')), (2, 1), f'{task}\n{result.tail()}')
        words = 'No space left on device' if '/full/' in task else 'Read-only file system'
        result.says(words)
        equal(lab.look('node-1', 'cat /mnt/full/f /mnt/ro/f; ls -A /mnt/full /mnt/ro').split(), ['old', 'old', '/mnt/full:', 'f', '/mnt/ro:', 'f'],
              f'what is there after {task}')
    nothing_left(lab, ['node-1'])


def controller_ended(lab):
    """The controller is interrupted, terminated and killed at many moments; nothing stays, and a run from the top completes."""
    play = write(lab, '''
- copy: {content: "{{ 'line\\n' * 200000 }}", dest: /srv/one}
- lineinfile: {path: /srv/one, line: last}
- shell: sleep 0.3; echo $RANDOM > /srv/two
- blockinfile: {path: /srv/one, block: "{{ 'block\\n' * 1000 }}"}
- file: {path: /srv/dir/deep, state: directory}
''')
    for host in TWO:
        lab.sh(host, 'mkdir -p /srv')
    for number, (what, after) in enumerate((w, a) for w in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) for a in (0.15, 0.4, 0.8, 1.2)):
        for host in TWO:
            lab.sh(host, 'rm -rf /srv/*')
        process = start(lab, play)
        time.sleep(after)
        process.send_signal(what)
        process.wait(30)
        for host in TWO:
            until(f'no process of ours on {host} after {what.name} at {after} s', lambda h=host: not agents(lab, h))
            size = int(lab.look(host, 'stat -c %s /srv/one 2>/dev/null') or 0)
            true(size in (0, 1000000, 1000005) or size > 1006000, f'{host}: a file of {size} bytes after {what.name} at {after} s')
        if number % 4 == 3:
            run(lab, play).succeeds()
            run(lab, play, '--check').succeeds()
            equal(lab.look('node-0', 'tail -n 1 /srv/one; wc -c < /srv/one').split(), ['#', 'END', 'ANSIBLE', 'MANAGED', 'BLOCK', '1006063'], 'the whole file')
    nothing_left(lab)


def two_at_once(lab):
    """Two controllers on the same hosts at once, from a cold start."""
    for host in TWO:
        lab.sh(host, 'rm -rf /home/ops/.ansible /root/.ansible; mkdir -p /srv')
    plays = [write(lab, f'''
- copy: {{content: "{{{{ 'same\\n' * 100000 }}}}", dest: /srv/same}}
- lineinfile: {{path: /srv/own{n}, line: "{{{{ item }}}}", create: true}}
  loop: [a, b, c, d, e, f]
- command: /bin/true
''', f'play{n}.yml') for n in (1, 2)]
    for _ in range(3):
        results = []
        threads = [threading.Thread(target=lambda p=p: results.append(run(lab, p))) for p in plays]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(len(results), 2, 'runs that ended')
        for result in results:
            result.succeeds()
            once_each(result)
        equal(lab.look('node-0', 'stat -c %s /srv/same; cat /srv/own1 /srv/own2').split(), ['500000', *'abcdefabcdef'], 'what was written')
    nothing_left(lab)


CASES = [agent_killed, master_killed, link_cut_and_healed, frozen, disk_full, controller_ended, two_at_once]
