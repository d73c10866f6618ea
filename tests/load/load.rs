//! A load client for judging releases: open loop, and it never retries.
//!
//! *Open loop*: every connection has a timetable of arrivals and keeps to it. A request that could not
//! go out on time (the previous one was still waiting, a connection had to be made) goes out at once and
//! its latency counts from the minute it should have gone, so a stall of the server shows as latency of
//! everything it held up, not as one slow request.
//!
//! *Never retries*: whatever goes wrong after the first byte of a request was written is a failure with a
//! class, a time and a text. Nothing is smoothed over, not even what HTTP allows a client to repeat; those
//! cases have classes of their own (`stale_connection`, `goaway_unprocessed`, `refused_stream`).
//!
//! `load serve` is the other end: a small backend that can die at once or drain on SIGTERM.
//! `load relay` puts a delay between the two, because a race that needs a round trip cannot be seen on a
//! loopback interface.

mod backend;
mod cli;
mod h2mode;
mod http1;
mod keepalive;
mod net;
mod relay;
mod report;
mod schedule;
mod stats;

use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser as _;
use cli::{Cli, Command, Load, Mode};
use schedule::Stop;
use stats::Recorder;

/// How long outstanding requests may take once the run is over; a little more than a request's own limit.
const TAIL: Duration = Duration::from_secs(11);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from).and_then(
            |rt| {
                let local = tokio::task::LocalSet::new();
                local.block_on(&rt, async {
                    match cli.command {
                        Some(Command::Serve(args)) => backend::serve(args).await.map(|()| true),
                        Some(Command::Relay(args)) => relay::relay(args).await.map(|()| true),
                        None => run(cli.load).await,
                    }
                })
            },
        );
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(err) => {
            let _ = writeln!(std::io::stderr(), "load: {err:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the load and prints what came of it; `true` when nothing failed.
async fn run(args: Load) -> anyhow::Result<bool> {
    let json = args.json;
    let plan = Rc::new(net::Plan::new(&args)?);
    let stats = Rc::new(Recorder::new());
    let stop = Stop::new(args.requests, args.duration(), args.until_file.clone());

    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..args.connections {
        let mode = match args.mode {
            Mode::All => [Mode::Keepalive, Mode::Close, Mode::H2][index % 3],
            one => one,
        };
        // Spread over one think time, so that connections do not arrive in step.
        let slots = if mode == Mode::H2 { args.streams } else { 1 };
        let offset = args.think() * u32::try_from(index)? / u32::try_from(args.connections)?;
        let timetable = schedule::Timetable::new(offset, args.think() / slots);
        let (plan, stats, stop) = (Rc::clone(&plan), Rc::clone(&stats), Rc::clone(&stop));
        tasks.spawn_local(async move {
            match mode {
                Mode::H2 => h2mode::run(plan, stats, stop, timetable).await,
                Mode::Close => keepalive::run(plan, stats, stop, timetable, false).await,
                Mode::Keepalive | Mode::All => {
                    keepalive::run(plan, stats, stop, timetable, true).await;
                }
            }
        });
    }
    stop.wait().await;
    let _ = tokio::time::timeout(TAIL, async { while tasks.join_next().await.is_some() {} }).await;

    let summary = stats.summary();
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", report::json(&summary))?;
    } else {
        write!(out, "{}", report::table(&summary))?;
    }
    Ok(summary.all.failed() == 0)
}
