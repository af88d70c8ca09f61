#!/bin/sh
# Makes collections: folders, archives and a repository.
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t GIT_CONFIG_GLOBAL=/dev/null
mkdir ../made; cd ../made
coll() { d=src/$1-$2; mkdir -p $d/roles/r/tasks $d/plugins; echo "- debug: msg=$2" > $d/roles/r/tasks/main.yml; echo $2 > $d/README.md; echo junk > $d/notes.bak; mkdir $d/.git; echo x > $d/.git/x
printf 'namespace: ns\nname: %s\nversion: %s\nreadme: README.md\nauthors: [me]\nlicense: [MIT]\nbuild_ignore: ["*.bak"]\ndependencies: %s\n' $1 $2 "$3" > $d/galaxy.yml; }
coll a 1.0.0 '{}'; coll a 1.1.0 '{}'; coll a 2.0.0-beta.1 '{}'; coll b 1.0.0 '{ns.a: ">=1.0.0"}'; coll c 1.0.0 '{ns.a: ">=9.0.0"}'
mkdir git; cp -r src/a-1.1.0 git/a; rm -r git/a/.git; cd git/a; git init -q -b main; git add .; git commit -qm one; git tag v1
