//! The `ralph` program.

fn main() -> std::process::ExitCode {
    ralph::cli::run()
}
