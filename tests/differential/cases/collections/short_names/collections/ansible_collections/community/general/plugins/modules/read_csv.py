from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec=dict(word=dict(default='none')))
module.exit_json(said=module.params['word'])
