"""docs/performance.md from the recorded runs of one build: ratios within each round, their median and spread."""
import json, os, platform, statistics, subprocess, time

from bounds import BOUNDS, MEMORY

HERE = os.path.dirname(os.path.abspath(__file__))
# workload: (goal against tuned ansible-core, goal against Mitogen), both as wall-time ratios
GOALS = {
    'W1.version': (30, 30), 'W1.syntax500': (30, 30), 'W2.command': (40, 12), 'W2.copy_new': (70, 10), 'W2.copy_same': (70, 10),
    'W2.template_new': (70, 10), 'W2.template_same': (70, 10), 'W2.lineinfile': (40, 8), 'W2.stat': (40, 8), 'W2.loop': (40, 8),
    'W2.control': (90, 100), 'W2.include': (200, 185), 'W3.50': (48, 14), 'W4.ctl.1k': (280, 300), 'W4.hv1.5k': (80, None),
    'W5.copy100m': (2.5, 5.5), 'W5.fetch100m': (2.5, 6.5), 'W5.tree100': (90, 7), 'W5.tree1000': (90, 7), 'W6.1': (4, 6),
    'W6.50': (15, None), 'W7.50ms': (10, 4),
}
TEXT = {
    'W1.version': '`--version`', 'W1.syntax1': 'syntax check, 1 task', 'W1.syntax500': 'syntax check, 500 tasks in 10 roles',
    'W1.debug1': '1 debug, local', 'W1.command1': '1 command, local', 'W2.null': '1 host, 1 command',
    'W2.command': '1 host, 100 × command', 'W2.command_again': 'the same once more within ControlPersist',
    'W2.copy_new': '100 × copy, new', 'W2.copy_same': '100 × copy, unchanged', 'W2.template_new': '100 × template, new',
    'W2.template_same': '100 × template, unchanged', 'W2.lineinfile': '100 × lineinfile', 'W2.stat': '100 × stat',
    'W2.loop': 'one loop of 100 items', 'W2.control': '100 control-only tasks', 'W2.include': '100 × include_tasks',
    'W3.10': '10 hosts × 20 mixed tasks', 'W3.50': '50 hosts × 20 mixed tasks', 'W3.100': '100 hosts × 20',
    'W3.200': '200 hosts × 20', 'W4.load.1k': 'list 1,000 hosts', 'W4.load.5k': 'list 5,000 hosts',
    'W4.ctl.1k': '1,000 hosts × 3 control tasks', 'W4.ctl.5k': '5,000 hosts × 3 control tasks',
    'W4.sub200.1k': '200 of 1,000 hosts × 3', 'W4.sub200.5k': '200 of 5,000 hosts × 3',
    'W4.hv1.1k': 'hostvars of 1,000 hosts in a template', 'W4.hv1.5k': 'hostvars of 5,000 hosts in a template',
    'W5.copy100m': 'copy 100 MB', 'W5.fetch100m': 'fetch 100 MB', 'W5.tree100': 'tree of 100 small files',
    'W5.tree1000': 'tree of 1,000 small files', 'W5.tree1000_same': 'the same tree, unchanged', 'W6.1': 'facts, 1 host',
    'W6.50': 'facts, 50 hosts', 'W7.50ms': '50 ms round trip, 20 tasks', 'W7.independent': '50 ms, 20 independent tasks',
    'W7.tree_same': '50 ms, tree of 1,000 unchanged files',
}


def load(path, build):
    """The runs of this build; a line that was cut by an interruption is passed over."""
    rows = []
    if os.path.exists(path):
        for line in open(path):
            try:
                r = json.loads(line)
            except ValueError:
                continue
            if r.get('build') == build:
                rows.append(r)
    return rows


def pairs(rows, wl, peer):
    """Runs of the peer with Dirigo's of the same round."""
    by = {(r['peer'], r['round']): r for r in rows if r['wl'] == wl and not r['pss']}
    out = []
    for (p, n), r in sorted(by.items()):
        d = by.get(('dirigo', n))
        if p == peer and d and d['ok'] and (r['ok'] or r['late']):
            out.append((r, d))
    return out


def ratios(rows, wl, peer):
    """Peer's wall time / Dirigo's, and whether that is the least it can be because the peer was ended."""
    found = pairs(rows, wl, peer)
    return [r['wall'] / d['wall'] for r, d in found], any(r['late'] for r, _ in found)


def bound_of(rows, wl):
    """(the bound, its values)"""
    b = BOUNDS.get(wl)
    return b, [b.value(d, r) for r, d in pairs(rows, wl, 'bound')] if b else []


def spread(v):
    m = statistics.median(v)
    text = '%.3g' % m if abs(m) < 10 else '%.0f' % m
    return text + (' (%.3g–%.3g)' % (min(v), max(v)) if len(v) > 1 else '')


def cell(found, goal=None):
    v, ended = found
    if not v:
        return '–'
    text = ('> ' if ended else '') + spread(v)
    if goal:
        text += ' of %g%s' % (goal, '' if ended or statistics.median(v) >= goal else ' ✗')
    return text


def limits_of(rows, wl):
    """What else is asked of a row, in words."""
    out = []
    b, v = bound_of(rows, wl)
    if v:
        sign = '' if b.what == 'trips' else '× '
        out.append('%s%s of %g%s (%s)' % (sign, spread(v), b.most, '' if statistics.median(v) <= b.most else ' ✗', b.text))
    again = [r for r in rows if r['wl'] == wl and r['peer'] == 'dirigo' and 'handshakes' in r]
    if again:
        n, u = max(r['handshakes'] for r in again), max(r['uploads'] for r in again)
        out.append('%d handshakes, %d uploads of 0%s' % (n, u, '' if not n + u else ' ✗'))
    pss = [r['rss'] for r in rows if r['wl'] == wl and r['peer'] == 'dirigo' and r['pss'] and r['ok']]
    if pss and wl in MEMORY:
        out.append('%.0f MB of %d%s' % (pss[0], MEMORY[wl], '' if pss[0] <= MEMORY[wl] else ' ✗'))
    return out


def ratios_of(rows, wl):
    """Lines for the terminal."""
    goal = dict(zip(('tuned', 'mitogen'), GOALS.get(wl, ())))
    out = []
    for p in ('default', 'tuned', 'mitogen', 'rs', 'pyinfra'):
        found = ratios(rows, wl, p)
        if found[0]:
            ctl = [r['ctl'] / max(d['ctl'], 1e-4) for r, d in pairs(rows, wl, p)]
            out.append('%s / dirigo: wall × %s, controller CPU × %s' % (p, cell(found, goal.get(p)), spread(ctl)))
    return out + ['bound: ' + t for t in limits_of(rows, wl)]


def write_docs(rows, dirigo):
    """Writes the table into docs/performance.md and prints it."""
    seen = {r['wl'] for r in rows}
    names = [n for n in TEXT if n in seen]
    out = ['# Performance', '', '<!-- the tables are written by benches/run; the text after them is kept -->', '',
           'Wall-time ratios peer / Dirigo within the same round (median, spread in brackets), beside the goal. ✗: short of the goal. `>`:',
           'the peer was ended after its time. "tuned" is ansible-core 2.19 with pipelining, ControlPersist and 50 forks; "rs" is',
           'ansible-core-rs. "–": the peer failed, gave another recap, or was not run. The last column compares Dirigo with OpenSSH, tar',
           'and the shell doing the same without any tool: Dirigo / bound, measured in the same rounds.', '',
           '| workload | Dirigo s | CPU s | MB | tuned | Mitogen | rs | bounds |', '|---|---:|---:|---:|---:|---:|---:|---|']
    for n in names:
        mine = [r for r in rows if r['wl'] == n and r['peer'] == 'dirigo' and not r['pss'] and r['ok']]
        if not mine:
            continue
        pss = [r['rss'] for r in rows if r['wl'] == n and r['peer'] == 'dirigo' and r['pss'] and r['rss'] > 1]
        goal = GOALS.get(n, (None, None))
        out.append('| %s | %.3f | %.3f | %s | %s | %s | %s | %s |' % (
            TEXT[n], statistics.median(r['wall'] for r in mine), statistics.median(r['ctl'] for r in mine),
            '%.0f' % pss[0] if pss else '–', cell(ratios(rows, n, 'tuned'), goal[0]), cell(ratios(rows, n, 'mitogen'), goal[1]),
            cell(ratios(rows, n, 'rs')), '; '.join(limits_of(rows, n))))
    cpu = next((l.split(':', 1)[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')), '?')
    version = subprocess.run([dirigo, '--version'], capture_output=True, text=True).stdout.splitlines()
    ssh = subprocess.run(['ssh', '-V'], capture_output=True, text=True).stderr.strip()
    loads = [r['load'] for r in rows] or [0]
    import peers
    out += ['', 'MB: proportional memory (PSS) of the controller with its ssh masters. A peer that takes long runs once.', '',
            'Measured %s: %s, %d processors, Linux %s, %s; `%s`; ansible-core %s, Mitogen %s, ansible-core-rs %s; load average between '
            'runs %.1f (%.1f–%.1f).' % (
                time.strftime('%Y-%m-%d'), cpu, os.cpu_count(), platform.release(), ssh, version[0] if version else '?', peers.CORE,
                peers.MITOGEN, peers.RS, statistics.median(loads), min(loads), max(loads)),
            'Controller and targets share the processors; every run starts without a warm ssh master. The clock starts when a process',
            'that is in its control group already executes the command.', '']
    print('\n'.join(out))
    doc = os.path.join(HERE, '../docs/performance.md')
    mark = '<!-- end of the tables -->'
    rest = open(doc).read().split(mark, 1)[1] if os.path.exists(doc) and mark in open(doc).read() else '\n'
    with open(doc, 'w') as f:
        f.write('\n'.join(out) + mark + rest)
    print('wrote docs/performance.md')
