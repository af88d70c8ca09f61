#!/usr/bin/python
print('{"changed": false, "from": "book"}')
