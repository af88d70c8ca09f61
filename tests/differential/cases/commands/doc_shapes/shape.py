"""The shape of what ansible-doc -j tells: names, keys and types; the texts are each engine's own."""
import json, sys
KINDS = {'type', 'required', 'choices', 'elements', 'aliases', 'default'}
d = json.load(sys.stdin)


def option(o):
    out = {k: o[k] for k in KINDS & set(o) if o[k] is not False or k != 'required'}
    if 'choices' in out:        # with or without a word on each
        out['choices'] = sorted(out['choices'])
    out['suboptions'] = {k: option(v) for k, v in (o.get('suboptions') or {}).items()}
    return out


for name, e in sorted(d.items()):
    doc = e.get('doc', e)
    print(name, sorted(k for k in e if e[k]), sorted(k for k in doc if k in ('module', 'name', 'options', 'short_description', 'description', 'plugin_name', 'plugin_type', 'has_action')))
    print(json.dumps({k: option(o) for k, o in (doc.get('options') or {}).items()}, sort_keys=True))
