#!/bin/sh
# Makes archives and a repository of roles.
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t GIT_CONFIG_GLOBAL=/dev/null
role() { mkdir -p $1/tasks $1/meta; echo "- debug: msg=$1" > $1/tasks/main.yml; printf 'galaxy_info: {author: a, description: d, license: MIT, min_ansible_version: "2.1"}\ndependencies: %s\n' "$2" > $1/meta/main.yml; }
role one '[]'; tar --mtime=@0 --sort=name -czf one.tar.gz one; role two '[]'; tar --mtime=@0 --sort=name -cf two.tar two
role three "[{src: file://$PWD/one.tar.gz, name: one}]"; tar --mtime=@0 --sort=name -czf three.tar.gz three
mkdir nometa; echo x > nometa/f; tar --mtime=@0 --sort=name -czf nometa.tar.gz nometa; echo no archive > text.tar.gz
P=$PWD; mkdir ../made; cd ../made; role gitrole '[]'; cd gitrole; git init -q -b main; git add .; git commit -qm one; git tag v1; echo 2 > two; git add .; git commit -qm two
cd $P; rm -r one two three nometa
