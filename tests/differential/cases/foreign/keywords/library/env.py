#!/usr/bin/python
import os
from ansible.module_utils.basic import AnsibleModule

def main():
    module = AnsibleModule(argument_spec=dict(name=dict(), n=dict(type='int', default=0)))
    module.exit_json(changed=False, value=os.environ.get(module.params['name'] or 'X'), n=module.params['n'])

if __name__ == '__main__':
    main()
