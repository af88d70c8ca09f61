#!/bin/sh
cat "$1" > /dev/null
echo "{\"changed\": false, \"which\": \"real\"}"
