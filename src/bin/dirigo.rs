//! The controller.

fn main() {
    std::process::exit(dirigo::cli::main());
}
