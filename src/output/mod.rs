//! Renderers of events: Ansible's default text, json, ndjson, yaml.
