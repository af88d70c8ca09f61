#!/bin/sh
if [ "$1" = --host ]; then echo "{\"name\": \"$2\"}"; else echo '{"g": ["h1", "h2"], "h": {"hosts": ["h9"]}}'; fi
