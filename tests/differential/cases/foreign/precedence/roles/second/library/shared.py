#!/usr/bin/python
print('{"changed": false, "from": "second"}')
