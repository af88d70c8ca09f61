//! Ansible Vault, formats 1.1 and 1.2: encrypt, decrypt, several ids.
