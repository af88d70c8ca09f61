//! `ping`: the agent answers.

use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};

pub fn module() -> Module {
    Module {
        name: "ping",
        collection: "ansible.builtin",
        spec: Spec::new(vec![
            Arg::str("data").default("pong").doc("What to answer. The word `crash` makes the module fail."),
        ]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Try to reach a host and its agent; answers `pong`. This is not ICMP.",
        run,
    }
}

fn run(_: &mut Ctx, args: &Args) -> ModResult {
    match args.str("data") {
        "crash" => Err(Failure::uncaught("boom")),
        data => Ok(Outcome::ok().set("ping", data)),
    }
}
