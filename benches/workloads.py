"""Writes every playbook, inventory and data file the bench runs (plain Ansible;
and for pyinfra the nearest equivalent where there is a simple one)."""
import json, os, random

T = '/tmp/bench-t'          # written on the "targets" (all hosts share this file system)
PORT = 2222


def host(i):
    return 'h%03d' % i


def addr(i):
    return '127.0.%d.%d' % (1 + (i - 1) // 250, 1 + (i - 1) % 250)


def w(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)


def yml(tasks, hosts='all', extra=''):
    """tasks: list of (name, module, dict-or-str, dict of task keywords)"""
    out = ['- hosts: %s' % hosts, '  gather_facts: false']
    if extra:
        out += ['  ' + l for l in extra.splitlines()]
    out.append('  tasks:')
    for name, mod, args, kw in tasks:
        out.append('    - name: %s' % name)
        out.append('      %s: %s' % (mod, json.dumps(args)))
        for k, v in kw.items():
            out.append('      %s: %s' % (k, json.dumps(v)))
    return '\n'.join(out) + '\n'


TD = T + '/{{ inventory_hostname }}'

J2 = '''# managed by bench for {{ inventory_hostname }} item {{ n }}
{% for s in services %}
[{{ s.name }}]
port = {{ s.port }}
{% if s.tls | default(false) %}
tls = yes
cert = /etc/ssl/{{ s.name | lower }}.pem
{% endif %}
upstreams = {{ s.up | join(',') }}
{% endfor %}
path = {{ base | default('/srv') }}/{{ n }}
'''
SERVICES = [{'name': 'Svc%d' % i, 'port': 8000 + i, 'tls': bool(i % 2), 'up': ['10.0.0.%d' % j for j in range(i)]} for i in range(1, 7)]


def mixed():
    t = []
    t.append(('base dir', 'file', {'path': TD + '/app', 'state': 'directory', 'mode': '0755'}, {}))
    t.append(('conf dir', 'file', {'path': TD + '/app/conf.d', 'state': 'directory', 'mode': '0755'}, {}))
    t.append(('who', 'command', 'id -un', {'register': 'who', 'changed_when': False}))
    t.append(('facts', 'set_fact', {'app_port': 8080, 'app_user': '{{ who.stdout }}'}, {}))
    t.append(('sane', 'assert', {'that': ['app_port == 8080', "app_user == 'root'"]}, {}))
    for i in range(3):
        t.append(('copy %d' % i, 'copy', {'content': 'file %d for {{ inventory_hostname }}\n' % i, 'dest': TD + '/app/f%d' % i}, {}))
    for i in range(3):
        t.append(('template %d' % i, 'template', {'src': 't.j2', 'dest': TD + '/app/conf.d/%d.conf' % i}, {'vars': {'n': i}}))
    t.append(('stat it', 'stat', {'path': TD + '/app/f0'}, {'register': 'st'}))
    t.append(('only if there', 'command', '/bin/true', {'when': 'st.stat.exists'}))
    t.append(('skipped', 'command', '/bin/false', {'when': 'not st.stat.exists'}))
    t.append(('line 1', 'lineinfile', {'path': TD + '/app/env', 'line': 'PORT={{ app_port }}', 'create': True}, {}))
    t.append(('line 2', 'lineinfile', {'path': TD + '/app/env', 'line': 'USER={{ app_user }}', 'regexp': '^USER='}, {}))
    t.append(('shell', 'shell', 'cat ' + TD + '/app/env | wc -l', {'register': 'n_'}))
    t.append(('show', 'debug', {'msg': 'lines={{ n_.stdout }} port={{ app_port }}'}, {}))
    t.append(('link', 'file', {'src': TD + '/app/f0', 'dest': TD + '/app/current', 'state': 'link'}, {}))
    t.append(('slurp', 'slurp', {'src': TD + '/app/env'}, {'register': 'sl'}))
    assert len(t) == 20
    return t


def generate(root, key):
    P = root + '/pb'
    I = root + '/inv'
    rnd = random.Random(7)
    common = 'ansible_port=%d ansible_user=root ansible_ssh_private_key_file=%s' % (PORT, key)
    for n in (1, 10, 50, 100, 200):
        w(I + '/n%d.ini' % n, '[web]\n' + ''.join('%s ansible_host=%s %s\n' % (host(i), addr(i), common) for i in range(1, n + 1)))
        w(I + '/n%d.py' % n, 'hosts = ' + repr([(host(i), dict(ssh_hostname=addr(i), ssh_port=PORT, ssh_user='root', ssh_key=key, ssh_strict_host_key_checking='no', ssh_known_hosts_file='/dev/null')) for i in range(1, n + 1)]) + '\n')
    w(I + '/wan.ini', '[web]\nwan1 ansible_host=127.0.9.1 %s\n' % common.replace('port=%d' % PORT, 'port=%d' % (PORT + 1)))
    w(I + '/near.ini', '[web]\nwan1 ansible_host=127.0.1.1 %s\n' % common)
    w(I + '/wan.py', 'hosts = ' + repr([('wan1', dict(ssh_hostname='127.0.9.1', ssh_port=PORT + 1, ssh_user='root', ssh_key=key, ssh_strict_host_key_checking='no', ssh_known_hosts_file='/dev/null'))]) + '\n')
    w(I + '/local.ini', 'localhost ansible_connection=local\n')
    sv = 'vars:\n  services: %s' % json.dumps(SERVICES)

    # W1
    w(P + '/one.yml', yml([('hello', 'debug', {'msg': 'hello'}, {})]))
    w(P + '/one_cmd.yml', yml([('true', 'command', '/bin/true', {})]))
    R = P + '/roles'
    for r in range(10):
        tasks = []
        for i in range(45):
            k = i % 6
            if k == 0: s = "  command: /bin/echo {{ r%d_a }} {{ item }}\n  loop: [1, 2, 3]\n  register: out%d\n  changed_when: false\n" % (r, i)
            elif k == 1: s = "  template:\n    src: conf.j2\n    dest: /tmp/bench-t/r%d_%d.conf\n    mode: '0644'\n  notify: restart %d\n" % (r, i, r)
            elif k == 2: s = "  set_fact:\n    x%d_%d: \"{{ r%d_b | map('upper') | list }}\"\n  when: r%d_on | bool\n" % (r, i, r, r)
            elif k == 3: s = "  lineinfile:\n    path: /tmp/bench-t/f\n    regexp: '^k%d='\n    line: 'k%d={{ r%d_a }}'\n    create: true\n  tags: [conf, r%d]\n" % (i, i, r, r)
            elif k == 4: s = "  block:\n    - debug: {msg: in block}\n  rescue:\n    - debug: {msg: rescue}\n  when: ansible_check_mode\n"
            else: s = "  assert:\n    that:\n      - r%d_a is defined\n      - r%d_b | length > 1\n" % (r, r)
            tasks.append("- name: role %d task %d\n%s" % (r, i, s))
        w(R + '/r%d/tasks/main.yml' % r, '---\n' + ''.join(tasks))
        w(R + '/r%d/defaults/main.yml' % r, 'r%d_a: value\nr%d_b: [a, b, c]\nr%d_on: true\n' % (r, r, r))
        w(R + '/r%d/handlers/main.yml' % r, '- name: restart %d\n  command: /bin/true\n' % r)
        w(R + '/r%d/templates/conf.j2' % r, 'a={{ r%d_a }}\n' % r)
        w(R + '/r%d/meta/main.yml' % r, 'dependencies: []\n')
    w(P + '/big.yml', '- hosts: all\n  gather_facts: false\n  roles: [%s]\n  tasks:\n' % ', '.join('r%d' % r for r in range(10)) +
      ''.join('    - name: t%d\n      command: /bin/echo %d\n      when: x is defined\n' % (i, i) for i in range(50)))

    # W2
    N = 100
    w(P + '/null.yml', yml([('true', 'command', '/bin/true', {})]))
    w(P + '/command.yml', yml([('c%d' % i, 'command', '/bin/true', {}) for i in range(N)]))
    w(P + '/copy.yml', yml([('c%d' % i, 'copy', {'content': 'line one %d\nline two\n' % i, 'dest': TD + '/c%d' % i, 'mode': '0644'}, {}) for i in range(N)]))
    w(P + '/t.j2', J2)
    w(P + '/template.yml', yml([('t%d' % i, 'template', {'src': 't.j2', 'dest': TD + '/t%d' % i, 'mode': '0644'}, {'vars': {'n': i}}) for i in range(N)], extra=sv))
    w(P + '/lineinfile.yml', yml([('l%d' % i, 'lineinfile', {'path': TD + '/lines', 'regexp': '^key%d=' % i, 'line': 'key%d=value%d' % (i, i), 'create': True}, {}) for i in range(N)]))
    w(P + '/stat.yml', yml([('s%d' % i, 'stat', {'path': '/etc/passwd'}, {'register': 's%d' % i}) for i in range(N)]))
    w(P + '/loop.yml', yml([('loop', 'command', '/bin/echo {{ item }}', {'loop': list(range(N))})]))
    ctl = []
    for i in range(N):
        if i % 3 == 0: ctl.append(('c%d' % i, 'set_fact', {'v%d' % i: "{{ (services | map(attribute='port') | sum) + %d }}" % i}, {}))
        elif i % 3 == 1: ctl.append(('c%d' % i, 'debug', {'msg': 'v is {{ v%d }} on {{ inventory_hostname }}' % (i - 1)}, {}))
        else: ctl.append(('c%d' % i, 'assert', {'that': ['v%d | int > 1000' % (i - 2), 'services | length == 6'], 'quiet': True}, {}))
    w(P + '/control.yml', yml(ctl, extra=sv))
    w(P + '/inc.yml', "- name: inc\n  debug: {msg: 'included {{ k }}'}\n")
    w(P + '/include.yml', yml([('i%d' % i, 'include_tasks', 'inc.yml', {'vars': {'k': i}}) for i in range(N)]))

    # W3, W7
    w(P + '/independent.yml', yml([('i%d' % i, ('copy', 'command')[i % 2], ({'content': 'line %d\n' % i, 'dest': TD + '/i%d' % i}, '/bin/true')[i % 2], {}) for i in range(20)]))
    w(P + '/mixed.yml', yml(mixed(), extra=sv))

    # W4
    for n in (1000, 5000):
        d = I + '/big%d' % n
        hosts = ['srv%05d' % i for i in range(n)]
        G = 20
        ini = []
        for g in range(G):
            ini.append('[g%02d]' % g)
            ini += hosts[g::G]
        ini += ['[prod:children]'] + ['g%02d' % g for g in range(0, G, 2)]
        ini += ['[stage:children]'] + ['g%02d' % g for g in range(1, G, 2)]
        w(d + '/hosts', '\n'.join(ini) + '\n')
        w(d + '/group_vars/all.yml', 'ansible_connection: ssh\ndomain: example.test\nntp: [a.example.test, b.example.test]\nlimits: {soft: 1024, hard: 4096}\nfqdn: "{{ inventory_hostname }}.{{ domain }}"\n')
        for g in range(G):
            w(d + '/group_vars/g%02d.yml' % g, 'gid: %d\ntier: tier%d\nports: [%d, %d]\nopts:\n  a: %d\n  b: {c: x, d: [1, 2, 3]}\n' % (g, g % 4, 8000 + g, 9000 + g, g))
        for i, h in enumerate(hosts):
            w(d + '/host_vars/%s.yml' % h, 'ip: 10.%d.%d.%d\nrack: r%d\nserial: "%08x"\nroles: [web, app%d]\ndisks:\n  - {dev: sda, gb: %d}\n  - {dev: sdb, gb: %d}\n' % (i >> 16, (i >> 8) & 255, i & 255, i // 40, rnd.getrandbits(32), i % 7, rnd.randrange(100, 999), rnd.randrange(100, 999)))
    w(P + '/hv.j2', "{% for g in groups | sort %}\n# {{ g }}\n{% for h in groups[g] %}\n{{ hostvars[h].ip }} {{ h }} {{ hostvars[h].fqdn }} {{ hostvars[h].rack | upper }}\n{% endfor %}\n{% endfor %}\n")
    w(P + '/w4ctl.yml', yml([
        ('set', 'set_fact', {'total': "{{ disks | map(attribute='gb') | sum }}", 'label': "{{ fqdn }}-{{ tier }}-{{ rack }}"}, {}),
        ('check', 'assert', {'that': ['total | int > 100', "label is match('srv')", 'ports | length == 2'], 'quiet': True}, {}),
        ('say', 'debug', {'msg': '{{ label }} {{ total }} {{ opts.b.d | join(",") }}'}, {})]))
    w(P + '/w4hv1.yml', yml([('render', 'set_fact', {'out': "{{ lookup('template', 'hv.j2') }}"}, {'run_once': True}),
                            ('sum', 'debug', {'msg': '{{ out | length }} {{ out | hash("sha1") }}'}, {'run_once': True})], hosts='g00'))
    w(P + '/w4hv10.yml', yml([('render', 'set_fact', {'out': "{{ lookup('template', 'hv.j2') | hash('sha1') }}"}, {})], hosts="'g00[0:9]'"))

    # W5
    D = root + '/data'
    os.makedirs(D, exist_ok=True)
    if not os.path.exists(D + '/big.bin'):
        with open(D + '/big.bin', 'wb') as f:
            for _ in range(100):
                f.write(os.urandom(1 << 20))
    for n in (100, 1000):
        for i in range(n):
            w(D + '/tree%d/d%02d/f%04d.txt' % (n, i % 20, i), ('content of file %d\n' % i) * rnd.randrange(20, 200))
    w(P + '/copybig.yml', yml([('big', 'copy', {'src': D + '/big.bin', 'dest': TD + '/big.bin'}, {})]))
    w(P + '/fetchbig.yml', yml([('fetch', 'fetch', {'src': D + '/big.bin', 'dest': T + '/fetched/', 'flat': True}, {})]))
    for n in (100, 1000):
        w(P + '/tree%d.yml' % n, yml([('tree', 'copy', {'src': D + '/tree%d' % n, 'dest': TD + '/'}, {})]))

    # W6
    w(P + '/facts.yml', '- hosts: all\n  gather_facts: true\n  tasks: []\n')

    # pyinfra equivalents
    Y = root + '/pyi'
    TH = "'" + T + "/' + host.name + '"
    pre = 'from io import StringIO\nfrom pyinfra import host\nfrom pyinfra.operations import server, files\nfrom pyinfra.facts.files import File\nSV = %r\n' % SERVICES
    w(Y + '/null.py', pre + "server.shell(name='c', commands=['/bin/true'])\n")
    w(Y + '/command.py', pre + "for i in range(100):\n    server.shell(name=f'c{i}', commands=['/bin/true'])\n")
    w(Y + '/copy.py', pre + "for i in range(100):\n    files.put(name=f'c{i}', src=StringIO(f'line one {i}\\nline two\\n'), dest=%s/c' + str(i), mode='644')\n" % TH)
    w(Y + '/t.j2', J2.replace('inventory_hostname', 'host.name'))
    w(Y + '/template.py', pre + "for i in range(100):\n    files.template(name=f't{i}', src='t.j2', dest=%s/t' + str(i), mode='644', n=i, services=SV)\n" % TH)
    w(Y + '/lineinfile.py', pre + "for i in range(100):\n    files.line(name=f'l{i}', path=%s/lines', line=f'^key{i}=.*', replace=f'key{i}=value{i}')\n" % TH)
    w(Y + '/stat.py', pre + "for i in range(100):\n    host.get_fact(File, path='/etc/passwd' if i == 0 else f'/etc/passwd')\n")
    w(Y + '/mixed.py', pre + "D = " + TH + "/app'\n" + '''
files.directory(name='base', path=D, mode='755')
files.directory(name='conf', path=D + '/conf.d', mode='755')
server.shell(name='who', commands=['id -un'])
for i in range(3):
    files.put(name=f'copy {i}', src=StringIO(f'file {i} for {host.name}\\n'), dest=f'{D}/f{i}')
for i in range(3):
    files.template(name=f'tpl {i}', src='t.j2', dest=f'{D}/conf.d/{i}.conf', n=i, services=SV)
host.get_fact(File, path=D + '/f0')
server.shell(name='t', commands=['/bin/true'])
files.file(name='envf', path=D + '/env')
files.line(name='l1', path=D + '/env', line='PORT=8080')
files.line(name='l2', path=D + '/env', line='^USER=.*', replace='USER=root')
server.shell(name='sh', commands=[f'cat {D}/env | wc -l'])
files.link(name='ln', path=D + '/current', target=D + '/f0')
server.shell(name='slurp', commands=[f'base64 {D}/env'])
''')
    w(Y + '/copybig.py', pre + "files.put(name='big', src=%r, dest=%s/big.bin')\n" % (D + '/big.bin', TH))
    w(Y + '/fetchbig.py', pre + "files.get(name='big', src=%r, dest=%r)\n" % (D + '/big.bin', T + '/fetched/big.bin'))
    for n in (100, 1000):
        w(Y + '/tree%d.py' % n, pre + "files.sync(name='tree', src=%r, dest=%s/tree%d')\n" % (D + '/tree%d' % n, TH, n))
    w(Y + '/facts.py', pre + "from pyinfra.facts import server as s, hardware as h\nfor f in (s.Hostname, s.Kernel, s.KernelVersion, s.Os, s.OsVersion, s.Arch, s.LinuxDistribution, s.Mounts, s.Users, s.Groups, s.Date, s.Which if False else s.Path, h.Cpus, h.Memory, h.NetworkDevices, h.Ipv4Addrs, h.Ipv6Addrs, h.BlockDevices):\n    host.get_fact(f)\n")
