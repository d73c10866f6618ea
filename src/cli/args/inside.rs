//! Ways into containers: `exec`, `run`, `forward`.

use clap::Args;

/// How a command runs in a container.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
pub struct InContainer {
    /// Give it no terminal, also where there is one
    #[arg(long, short = 'T', visible_alias = "no-TTY")]
    pub no_tty: bool,
    /// Leave it alone once it runs; `run` prints its name
    #[arg(long, short)]
    pub detach: bool,
    /// Variable for it: NAME=value, or NAME for the value here
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Run as another user
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Folder to run it in
    #[arg(long, short, value_name = "PATH")]
    pub workdir: Option<String>,
    /// What Compose users type; an input and a terminal are given where there are any
    #[arg(short, hide = true)]
    pub interactive: bool,
    /// As above
    #[arg(short, hide = true)]
    pub tty: bool,
}

/// `exec`
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Number of the replica; the first that runs if none is given
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// How it runs.
    #[command(flatten)]
    pub how: InContainer,
    /// Service to run it in
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

/// `run`
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// How it runs.
    #[command(flatten)]
    pub how: InContainer,
    /// Program instead of the service's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Service it is like: image, environment, secrets, volumes, networks
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and arguments; the service's own if there are none
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `forward`
#[derive(Debug, Clone, Args)]
pub struct ForwardArgs {
    /// Service, and its port if it is not the one stack.toml names
    #[arg(value_name = "SERVICE[:PORT]", value_parser = service_port)]
    pub service: (String, Option<u16>),
    /// Port to open on 127.0.0.1 [default: the same number, or any that is free]
    #[arg(long, short, value_name = "PORT")]
    pub port: Option<u16>,
    /// Number of the replica; the first that runs if none is given
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

fn service_port(text: &str) -> Result<(String, Option<u16>), String> {
    match text.split_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((service, port)) => {
            let port = port.parse().map_err(|_| format!("`{port}` is not a port; write `postgres:5432`"))?;
            Ok((service.to_owned(), Some(port)))
        }
    }
}
