//! The command line, nothing else.

fn main() -> std::process::ExitCode {
    screen_portal::cli::main(std::time::Instant::now())
}
