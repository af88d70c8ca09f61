#!/bin/sh
. "$1"
printf '{"changed": false, "a": "%s", "b": "%s", "list": "%s", "flag": "%s", "none": "%s", "check": "%s", "v": "%s"}\n' \
  "$a" "$b" "$list" "$flag" "$none" "$_ansible_check_mode" "$_ansible_verbosity"
