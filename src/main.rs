//! The process: captures what it was started with, runs the command line, ends with its exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use dialoguer::console::Term;
use stackctl::base::env::Env;

fn main() -> ExitCode {
    stackctl::cli::keep_private();
    // TLS needs one provider for the whole process; a second call would be refused, and nothing is lost then.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let env = Env {
        vars: std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect(),
        cwd: std::env::current_dir().unwrap_or_default(),
        stdin_tty: std::io::stdin().is_terminal(),
        stdout_tty: std::io::stdout().is_terminal(),
        stderr_tty: std::io::stderr().is_terminal(),
        width: Term::stderr().size_checked().map(|(_, columns)| usize::from(columns)),
    };
    ExitCode::from(stackctl::cli::run(std::env::args_os(), &env).code())
}
