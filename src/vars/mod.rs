//! Layers of variables in Ansible's order of precedence; looked up, never merged or copied.
