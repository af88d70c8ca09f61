#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
from ..module_utils.text import polite
from ansible_collections.mine.tools.plugins.module_utils.deep import marks
from ansible_collections.mine.tools.plugins.module_utils.deep.more import end as finish

def main():
    module = AnsibleModule(argument_spec=dict(name=dict(required=True)))
    module.exit_json(msg=polite(module.params['name']) + marks.MARK + finish())

if __name__ == '__main__':
    main()
