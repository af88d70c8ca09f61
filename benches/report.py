"""docs/performance.md from the runs of one call of benches/run: ratios within each round, their median and spread."""
import json, os, platform, statistics, subprocess, time

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
    'W1.debug1': '1 debug, local', 'W1.command1': '1 command, local', 'W2.null': '1 host, 1 command', 'W2.command': '1 host, 100 × command',
    'W2.command_again': 'the same once more within ControlPersist', 'W2.copy_new': '100 × copy, new', 'W2.copy_same': '100 × copy, unchanged',
    'W2.template_new': '100 × template, new', 'W2.template_same': '100 × template, unchanged', 'W2.lineinfile': '100 × lineinfile',
    'W2.stat': '100 × stat', 'W2.loop': 'one loop of 100 items', 'W2.control': '100 control-only tasks', 'W2.include': '100 × include_tasks',
    'W3.10': '10 hosts × 20 mixed tasks', 'W3.50': '50 hosts × 20 mixed tasks', 'W3.100': '100 hosts × 20', 'W3.200': '200 hosts × 20',
    'W4.load.1k': 'list 1,000 hosts', 'W4.load.5k': 'list 5,000 hosts', 'W4.ctl.1k': '1,000 hosts × 3 control tasks',
    'W4.ctl.5k': '5,000 hosts × 3 control tasks', 'W4.sub200.1k': '200 of 1,000 hosts × 3', 'W4.sub200.5k': '200 of 5,000 hosts × 3',
    'W4.hv1.1k': 'hostvars of 1,000 hosts in a template', 'W4.hv1.5k': 'hostvars of 5,000 hosts in a template',
    'W5.copy100m': 'copy 100 MB', 'W5.fetch100m': 'fetch 100 MB', 'W5.tree100': 'tree of 100 small files', 'W5.tree1000': 'tree of 1,000 small files',
    'W5.tree1000_same': 'the same tree, unchanged', 'W6.1': 'facts, 1 host', 'W6.50': 'facts, 50 hosts', 'W7.50ms': '50 ms round trip, 20 tasks',
}


def ratios(rows, wl, peer):
    by = {(r['peer'], r['round']): r for r in rows if r['wl'] == wl and not r['pss']}
    out = []
    for (p, n), r in sorted(by.items()):
        d = by.get(('dirigo', n))
        if p == peer and d and r['ok'] and d['ok']:
            out.append(r['wall'] / d['wall'])
    return out


def cell(v, goal=None):
    if not v:
        return '–'
    m = statistics.median(v)
    text = '%.3g' % m if m < 10 else '%.0f' % m
    if len(v) > 1:
        text += ' (%.3g–%.3g)' % (min(v), max(v))
    if goal:
        text += ' of %g%s' % (goal, '' if m >= goal else ' ✗')
    return text


def write_docs(path, dirigo):
    rows = [json.loads(l) for l in open(path)]
    names = list(dict.fromkeys(r['wl'] for r in rows))
    out = ['# Performance', '', '<!-- the tables are written by benches/run --write-docs; the text after them is kept -->', '',
           'Wall-time ratios peer / Dirigo within the same round (median, spread in brackets), beside the goal. ✗: below the goal.',
           '"tuned" is ansible-core 2.19 with pipelining, ControlPersist and 50 forks; "rs" is ansible-core-rs. "–": the peer failed,',
           'gave another recap, or was not run.', '',
           '| workload | Dirigo s | CPU s | MB | tuned | Mitogen | rs |', '|---|---:|---:|---:|---:|---:|---:|']
    for n in names:
        mine = [r for r in rows if r['wl'] == n and r['peer'] == 'dirigo' and not r['pss']]
        if not mine:
            continue
        pss = [r['rss'] for r in rows if r['wl'] == n and r['peer'] == 'dirigo' and r['pss']]
        goal = GOALS.get(n, (None, None))
        out.append('| %s | %.3f | %.3f | %s | %s | %s | %s |' % (
            TEXT.get(n, n), statistics.median(r['wall'] for r in mine), statistics.median(r['ctl'] for r in mine),
            '%.0f' % pss[0] if pss else '–', cell(ratios(rows, n, 'tuned'), goal[0]), cell(ratios(rows, n, 'mitogen'), goal[1]),
            cell(ratios(rows, n, 'rs'))))
    cpu = next((l.split(':', 1)[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')), '?')
    version = subprocess.run([dirigo, '--version'], capture_output=True, text=True).stdout.splitlines()
    ssh = subprocess.run(['ssh', '-V'], capture_output=True, text=True).stderr.strip()
    import peers
    out += ['', 'MB: proportional memory (PSS) of the controller with its ssh masters.', '',
            'Measured %s: %s, %d processors, Linux %s, %s; `%s`; ansible-core %s, Mitogen %s, ansible-core-rs %s; load average at the end %.1f.' % (
                time.strftime('%Y-%m-%d'), cpu, os.cpu_count(), platform.release(), ssh, version[0] if version else '?', peers.CORE,
                peers.MITOGEN, peers.RS, os.getloadavg()[0]),
            'Controller and targets share the processors; every run starts without a warm ssh master.', '']
    doc = os.path.join(HERE, '../docs/performance.md')
    mark = '<!-- end of the tables -->'
    rest = open(doc).read().split(mark, 1)[1] if os.path.exists(doc) and mark in open(doc).read() else '\n'
    with open(doc, 'w') as f:
        f.write('\n'.join(out) + mark + rest)
    print('wrote docs/performance.md')
