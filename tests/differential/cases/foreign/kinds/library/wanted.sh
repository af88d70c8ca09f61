#!/bin/sh
# WANT_JSON
printf '{"changed": false, "name": "%s", "args": ' "$(basename "$1")"
cat "$1"
echo '}'
