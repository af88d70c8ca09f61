#!/bin/sh
echo before
echo '{"changed": true, "x": 1, "_ansible_secret": 2}'
echo after
