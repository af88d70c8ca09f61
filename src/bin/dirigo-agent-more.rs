//! The agent's second file, with all other modules: a worker of the agent becomes it when a task needs one of them.

#[path = "../agent/lean.rs"]
mod lean;

use dirigo::agent::{self, Holds};

fn main() {
    let holds = Holds::second();
    dirigo::transport::hidden_commands(holds);
    agent::main(holds, &std::env::args().skip(1).collect::<Vec<_>>())
}
