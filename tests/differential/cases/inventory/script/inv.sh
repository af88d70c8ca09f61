#!/bin/sh
cat <<E
{"web": {"hosts": ["h1", "h2"], "vars": {"a": 1, "t": "{{ x }}"}}, "db": ["h3"], "top": {"children": ["web", "db"]},
 "_meta": {"hostvars": {"h1": {"x": [1, null]}, "h3": {"y": "z"}}}}
E
