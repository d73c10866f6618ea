//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "load", about = "Open-loop HTTP load that never retries; exits 1 if any request failed")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: Load,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A small HTTP/1.1 backend that answers with its name
    Serve(Serve),
    /// Pass TCP through with a delay each way, end of stream included
    Relay(Relay),
}

#[derive(Args)]
pub(crate) struct Load {
    /// What to ask for; repeat for several paths of one origin, taken in turn
    #[arg(long = "url", required = true)]
    pub(crate) urls: Vec<String>,
    /// Name for SNI and Host, when it is not the URL's
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// How to use connections; `all` splits them evenly over the other three
    #[arg(long, value_enum, default_value = "keepalive")]
    pub(crate) mode: Mode,
    /// Number of connections (for `close`: of connection after connection)
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Time from one arrival to the next on a connection, in milliseconds
    #[arg(long, default_value_t = 20)]
    pub(crate) think_ms: u64,
    /// Arrivals per think time on one HTTP/2 connection
    #[arg(long, default_value_t = 4)]
    pub(crate) streams: u32,
    /// Most requests under way on one HTTP/2 connection; what is due above that goes out late, as on HTTP/1.1
    #[arg(long, default_value_t = 100)]
    pub(crate) in_flight: usize,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<f64>,
    /// Stop after this many requests
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    /// Stop when this file exists
    #[arg(long, value_name = "PATH")]
    pub(crate) until_file: Option<PathBuf>,
    /// Send POST with a body of this many bytes instead of GET
    #[arg(long, value_name = "BYTES")]
    pub(crate) post: Option<usize>,
    /// Count answers by the value of this response header
    #[arg(long, value_name = "HEADER")]
    pub(crate) count_header: Option<String>,
    /// Accept any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// One JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

impl Load {
    pub(crate) fn think(&self) -> Duration {
        Duration::from_millis(self.think_ms)
    }

    /// The time limit; ten seconds if nothing else ends the run.
    pub(crate) fn duration(&self) -> Option<Duration> {
        match self.duration {
            Some(seconds) => Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)),
            None if self.requests.is_none() && self.until_file.is_none() => Some(Duration::from_secs(10)),
            None => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Mode {
    /// HTTP/1.1, connections kept
    Keepalive,
    /// HTTP/1.1, a connection for each request
    Close,
    /// HTTP/2 over TLS
    H2,
    /// All three
    All,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Keepalive => "keepalive",
            Mode::Close => "close",
            Mode::H2 => "h2",
            Mode::All => "all",
        }
    }
}

#[derive(Args)]
pub(crate) struct Serve {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Sent back as `X-Backend` and as the body
    #[arg(long, default_value = "backend")]
    pub(crate) name: String,
    /// Time an answer takes
    #[arg(long, default_value_t = 5)]
    pub(crate) delay_ms: u64,
    /// What SIGTERM does
    #[arg(long, value_enum, default_value = "die")]
    pub(crate) on_term: OnTerm,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OnTerm {
    /// Exit at once, requests in flight and all: the least an app can do
    Die,
    /// Accept nothing more, answer what is there, exit
    Drain,
}

#[derive(Args)]
pub(crate) struct Relay {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) to: SocketAddr,
    /// Delay each way: half a round trip
    #[arg(long, default_value_t = 20)]
    pub(crate) delay_ms: u64,
}
