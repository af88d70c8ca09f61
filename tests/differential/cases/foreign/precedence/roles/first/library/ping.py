#!/usr/bin/python
print('{"changed": false, "from": "first"}')
