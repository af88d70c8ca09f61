//! The agent that runs on targets. `dirigo` itself answers the same words as `dirigo __agent …`.

fn main() {
    dirigo::transport::hidden_commands();
    dirigo::agent::main(&std::env::args().skip(1).collect::<Vec<_>>())
}
