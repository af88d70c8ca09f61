#!/bin/sh
# Makes collections: folders and archives of them.
mkdir ../made; cd ../made
coll() { mkdir -p $1-$2; echo $1 > $1-$2/README.md
printf 'namespace: ns\nname: %s\nversion: %s\nreadme: README.md\nauthors: [me]\nlicense: [MIT]\ndependencies: %s\n' $1 $2 "$3" > $1-$2/galaxy.yml
ansible-galaxy collection build $1-$2 > /dev/null; }
coll a 1.0.0 '{}'; coll b 1.0.0 '{ns.a: ">=1.0.0"}'
printf 'collections:\n  - name: ../made/ns-a-1.0.0.tar.gz\n' > req.yml
