#!/usr/bin/python3
import json
args = json.loads("""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>""")
print(json.dumps({"changed": args["change"], "got": {k: v for k, v in args.items() if k[0] != "_"},
                  "check": args["_ansible_check_mode"], "diff": args["_ansible_diff"], "name": args["_ansible_module_name"]}))
