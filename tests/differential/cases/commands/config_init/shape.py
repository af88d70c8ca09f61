"""What ansible-config list tells, without the descriptions, which are each engine's own."""
import json, sys
PLACES = {'env', 'ini', 'vars'}


def setting(s):
    out = {k: [{a: b for a, b in e.items() if a in ('name', 'key', 'section')} for e in s[k]] for k in PLACES if s.get(k)}
    out.update((k, s.get(k)) for k in ('default', 'required') if s.get(k))
    out['type'] = s.get('type', 'string')
    out['choices'] = sorted(map(str, s.get('choices') or []))
    return out


d = json.load(sys.stdin)
plugins = d.pop('PLUGINS', {})
# the names of files are listed there by an expression, here by themselves; the last one has no type there
for name in ('INVENTORY_IGNORE_EXTS', 'MODULE_IGNORE_EXTS', 'DEFAULT_VAULT_ID_MATCH'):
    d.pop(name, None)
print(json.dumps({k: setting(v) for k, v in d.items()}, indent=1, sort_keys=True))
for kind, found in sorted(plugins.items()):
    for name, options in sorted(found.items()):
        print(kind, name, json.dumps({k: setting(v) for k, v in options.items()}, indent=1, sort_keys=True))
