#!/usr/bin/python
import sys, time
from ansible.module_utils.basic import AnsibleModule

def main():
    module = AnsibleModule(argument_spec=dict(fail=dict(type='bool', default=False)), supports_check_mode=True)
    time.sleep(1)
    sys.stderr.write('to stderr\n')
    if module.params['fail']:
        raise Exception('failed slowly')
    module.exit_json(changed=True, word='done')

if __name__ == '__main__':
    main()
