#!/bin/sh
# Collections with and without versions.
mkdir -p ../l/c1/ansible_collections/ns/a ../l/c1/ansible_collections/ns/nover/plugins ../l/c4/ansible_collections/ns/bad
echo '{"collection_info": {"namespace": "ns", "name": "a", "version": "1.0.0"}}' > ../l/c1/ansible_collections/ns/a/MANIFEST.json
echo '{' > ../l/c4/ansible_collections/ns/bad/MANIFEST.json
echo > ../l/file
