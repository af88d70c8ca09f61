//! The agent that runs on targets, with the modules that most playbooks use. `dirigo` itself answers the same words as
//! `dirigo __agent …`.

#[path = "../agent/lean.rs"]
mod lean;

use dirigo::agent::{self, Holds};

fn main() {
    let holds = Holds::first();
    dirigo::transport::hidden_commands(holds);
    agent::main(holds, &std::env::args().skip(1).collect::<Vec<_>>())
}
