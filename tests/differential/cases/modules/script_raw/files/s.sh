#!/bin/sh
echo "args: $#: $*"; echo "$E"; pwd | sed "s,.*/,,"; echo err >&2
