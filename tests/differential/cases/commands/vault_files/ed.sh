#!/bin/sh
# an editor: adds a line
echo "edited" >> "$1"
stat -c '%a' "$1"
