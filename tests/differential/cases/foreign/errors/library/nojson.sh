#!/bin/sh
echo hello; echo oops >&2; exit 3
