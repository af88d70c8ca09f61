//! `shell`: a command line through `/bin/sh` or another shell.

use super::{Module, Support, command};

pub fn module() -> Module {
    Module {
        name: "shell",
        collection: "ansible.builtin",
        spec: command::spec(true),
        check: Support::Partial,
        diff: Support::None,
        free_form: true,
        doc: "Run a command line through a shell (`/bin/sh`, or `executable`).\n\n\
              In check mode the task is skipped, unless `creates` or `removes` tells what would happen.",
        run: |ctx, args| match !args.bool("expand_argument_vars") {
            // the shell expands; ansible-core's words name nothing else
            true => Err("Unsupported parameters for (shell) module: expand_argument_vars".into()),
            false => command::execute(ctx, args, true),
        },
    }
}
