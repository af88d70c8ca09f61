#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.own import twice
try:
    from ansible.module_utils.no_such_thing import never
except ImportError:
    never = None


def main():
    module = AnsibleModule(
        argument_spec=dict(
            number=dict(type='int', default=2),
            words=dict(type='list', elements='str', aliases=['names']),
            token=dict(type='str', no_log=True),
            mode=dict(choices=['ok', 'fail', 'raise', 'die', 'return', 'text', 'diff'], default='ok'),
        ),
        supports_check_mode=True,
        required_if=[('mode', 'text', ['words'])],
    )
    p = module.params
    if p['mode'] == 'fail':
        module.fail_json(msg='asked to fail', rc=7, hint=[1])
    if p['mode'] == 'raise':
        try:
            raise ValueError('inner')
        except ValueError as e:
            raise RuntimeError('outer') from e
    if p['mode'] == 'return':
        return
    if p['mode'] == 'die':
        raise SystemExit(4)
    result = dict(changed=not module.check_mode, number=twice(p['number']), words=p['words'], token=p['token'],
                  check=module.check_mode, never=never, unicode='é')
    if p['mode'] == 'diff' and module._diff:
        result['diff'] = dict(before='a\n', after='b\n')
    if p['mode'] == 'text':
        module.warn('be careful')
        result['ansible_facts'] = dict(my_fact=p['words'])
    module.exit_json(**result)


if __name__ == '__main__':
    main()
