#!/bin/sh
# Makes the repository that is pulled: two commits on main, a branch, a tag; always the same ids.
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git init -q -b main ../repo; cd ../repo
play() { printf -- '- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n    - debug: msg="%s {{ v | default(1) }} {{ ansible_check_mode }}"\n    - copy: content="%s\\n" dest={{ playbook_dir }}/../written\n      diff: true\n      tags: [w]\n' "$1" "$1"; }
play local > local.yml; play other > other.yml; printf -- '- hosts: all\n  gather_facts: false\n  connection: local\n  tasks: [{fail: {msg: as wanted}}]\n' > fails.yml
printf 'localhost here=1\n' > hosts; echo one > tracked
git add . && git commit -qm one; git tag v1
git checkout -q -b side; play side > local.yml; git commit -qam side
git checkout -q main; echo two > tracked; git commit -qam two
git config receive.denyCurrentBranch ignore
