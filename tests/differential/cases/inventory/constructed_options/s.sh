#!/bin/sh
case "$1" in
--list) echo '{"g": {"hosts": ["s1","s2"], "vars": {"a": 1}}, "h": ["s3"], "p": {"children": ["g"]}, "all": {"vars": {"z": true}}}';;
--host) echo "{\"me\": \"$2\"}";;
esac
