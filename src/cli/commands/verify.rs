//! `verify`

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::apply::inside::Behind;
use crate::apply::prepare::certificate;
use crate::apply::{self, Wanted};
use crate::cli::args::{FailOn, Format, VerifyArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::Engine;
use crate::engine::forward::Rung;
use crate::engine::state::baseline_file;
use crate::model::baseline::Baseline;
use crate::model::finding::{Finding, Verdict};
use crate::model::proxy::Proxy;
use crate::probe::{self, Known, Options, Severity, Target};
use crate::ui::error::Failure;
use crate::ui::findings::Report;
use crate::ui::paint::Paint;
use crate::ui::{self, reports};

/// How much of a report is shown, and what of it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// All findings.
    All {
        /// Format on stdout.
        format: Format,
        /// Other formats, and the files they go to.
        files: Vec<(Format, PathBuf)>,
        /// What ends with exit code 4.
        fail_on: FailOn,
        /// Times of answers are stored.
        save_baseline: bool,
    },
    /// Those that are not as they should be, and a count.
    Problems,
}

impl Shown {
    fn all(args: &VerifyArgs, ctx: &Context<'_>) -> Self {
        let format = args.format.unwrap_or(if ctx.out.is_json() { Format::Json } else { Format::Human });
        Self::All { format, files: args.report.clone(), fail_on: args.fail_on, save_baseline: args.save_baseline }
    }
}

/// Runs the checklist.
pub async fn run(args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let options = Options {
        quick: args.quick,
        gate: false,
        limit: Some(args.deadline.0),
        deadline: HEALTHY.min(args.deadline.0 / 2),
        only: args.only.clone(),
        skip: args.skip.clone(),
        name_server: name_server(),
        ..Options::default()
    };
    report(&engine, &wanted, &options, &Shown::all(args, ctx), ctx).await
}

/// Longest wait for the front door to become healthy.
const HEALTHY: Duration = Duration::from_secs(60);

/// The system's own name server.
fn name_server() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    probe::name_servers(&text).first().copied()
}

/// Asks, shows, judges.
pub async fn report(
    engine: &Engine,
    wanted: &Wanted,
    options: &Options,
    shown: &Shown,
    ctx: &Context<'_>,
) -> anyhow::Result<ExitStatus> {
    let prepared = apply::prepare(engine, wanted).await.map_err(|e| session::failure(&e))?;
    let stack = &wanted.stack;
    let target = target(engine, stack.proxy.as_ref()).await?;
    let behind = Behind::new(engine, wanted, &prepared);
    let steps: Vec<String> =
        prepared.plan.steps.iter().map(|step| format!("{} ({})", step.action, step.cause)).collect();
    let chain = stack.proxy.as_ref().and_then(|p| certificate(p, &prepared.values)).map(|(chain, _)| chain);
    let save = matches!(shown, Shown::All { save_baseline: true, .. });
    let measured = RefCell::new(Baseline::default());
    let mut findings: Vec<Finding> = Vec::new();
    let started = session::now();
    let began = Instant::now();
    let watch = ui::watch::Watch::new(ctx.out, "asking the front door");
    let known = Known {
        observed: Some(&prepared.observed),
        certificate: chain.as_deref(),
        inside: Some(&behind),
        specs: Some(&prepared.specs),
        steps: Some(&steps),
        values: Some(&prepared.values),
        baseline: prepared.observed.state.as_ref().and_then(|s| s.baseline.as_ref()).filter(|_| !save),
        measured: save.then_some(&measured),
    };
    probe::verify(stack, &known, &target, options, &mut |finding| {
        watch.say(&format!("{} {}: {}", finding.id, finding.title, finding.subject));
        findings.push(finding);
    })
    .await;
    drop(watch);
    // Some were asked beside the others; the report has the catalogue's order.
    findings.sort_by_key(|finding| probe::CATALOGUE.iter().position(|check| check.id == finding.id));
    let file = ctx.settings.file.display().to_string();
    let report = Report {
        project: stack.project.as_str(),
        stage: stack.stage.as_deref().unwrap_or_default(),
        file: &file,
        findings: &findings,
        started,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    if save && !measured.borrow().paths.is_empty() {
        let file = baseline_file(&measured.borrow());
        engine.write_state(&stack.project, &[file]).await?;
    }
    show(&report, shown, ctx)?;
    let fail_on = if let Shown::All { fail_on, .. } = shown { *fail_on } else { FailOn::Low };
    Ok(judge(&findings, fail_on))
}

fn show(report: &Report<'_>, shown: &Shown, ctx: &Context<'_>) -> anyhow::Result<()> {
    match shown {
        Shown::All { format, files, .. } => {
            for (format, file) in files {
                let text = text(report, *format, Paint(false), WIDTH);
                std::fs::write(file, text).map_err(|error| {
                    Failure::failed(format!("the report cannot be written to `{}`", file.display())).because(error)
                })?;
            }
            match format {
                Format::Json => ctx.out.json(&report.json())?,
                format => ctx.out.data(text(report, *format, ctx.out.data_paint(), ctx.out.width()))?,
            }
        }
        Shown::Problems => {
            let wrong: Vec<Finding> =
                report.findings.iter().filter(|f| f.verdict > Verdict::NotApplicable).cloned().collect();
            let paint = ctx.out.talk_paint();
            if !wrong.is_empty() {
                let short = Report { findings: &wrong, ..*report };
                ctx.out.say(short.lines_of_all(paint, ctx.out.width()).trim_end());
            }
            ctx.out.say(report.summary(paint));
        }
    }
    Ok(())
}

/// Columns of a report that goes to a file.
const WIDTH: usize = 100;

fn text(report: &Report<'_>, format: Format, paint: Paint, width: usize) -> String {
    match format {
        Format::Human => report.human(paint, width),
        Format::Json => format!("{:#}\n", report.json()),
        Format::Junit => ui::junit::junit(report),
        Format::Tap => reports::tap::tap(report),
        Format::Sarif => format!("{:#}\n", reports::sarif::sarif(report)),
        Format::Github => reports::github::github(report),
        Format::Markdown => reports::markdown::markdown(report),
        Format::Html => reports::html::html(report),
        Format::Prometheus => reports::prometheus::prometheus(report),
    }
}

/// How long another host's published port may take to answer, before it is asked from that host itself.
const OUTSIDE: Duration = Duration::from_secs(4);

/// Where the front door is: its published ports, on this host, on the engine's, or forwarded from there.
async fn target(engine: &Engine, proxy: Option<&Proxy>) -> anyhow::Result<Target> {
    let at = |proxy: &Proxy, port| {
        let address = if proxy.address.is_unspecified() { Ipv4Addr::LOCALHOST } else { proxy.address };
        SocketAddrV4::new(address, port)
    };
    let mut target = Target {
        http: proxy.map(|p| at(p, p.http_port).into()),
        https: proxy.filter(|p| p.https()).map(|p| at(p, p.https_port).into()),
        vantage: "host",
        http_port: proxy.map_or(80, |p| p.http_port),
        https_port: proxy.map_or(443, |p| p.https_port),
    };
    let (Some(proxy), rung) = (proxy, engine.rung().await) else { return Ok(target) };
    if rung == Rung::Direct {
        return Ok(target);
    }
    // As its users do, if the engine's host answers there: that proves most.
    if let Some(address) = outside(engine, proxy).await {
        target.http = Some((address, proxy.http_port).into());
        target.https = target.https.map(|_| (address, proxy.https_port).into());
        target.vantage = "outside";
        return Ok(target);
    }
    for place in [&mut target.http, &mut target.https] {
        if let Some(SocketAddr::V4(there)) = *place {
            *place = Some(engine.reach(there).await.map_err(|e| session::failure(&e.into()))?.into());
        }
    }
    // The ladder may have gone down a rung when it was tried.
    target.vantage =
        if engine.rung().await == Rung::Ssh { "host, through ssh" } else { "host, through a helper container" };
    Ok(target)
}

/// The address of the engine's host, if its front door answers there.
async fn outside(engine: &Engine, proxy: &Proxy) -> Option<IpAddr> {
    if !proxy.address.is_unspecified() {
        return None;
    }
    let host = engine.host_name().await?;
    let port = if proxy.https() { proxy.https_port } else { proxy.http_port };
    let connect = async {
        let address = tokio::net::lookup_host((host, port)).await.ok()?.find(SocketAddr::is_ipv4)?;
        // This host's own loopback is not the engine's.
        if address.ip().is_loopback() {
            return None;
        }
        tokio::net::TcpStream::connect(address).await.ok().map(|_| address.ip())
    };
    tokio::time::timeout(OUTSIDE, connect).await.ok().flatten()
}

fn judge(findings: &[Finding], fail_on: FailOn) -> ExitStatus {
    let least = match fail_on {
        FailOn::Warn | FailOn::Low => Severity::Low,
        FailOn::Medium => Severity::Medium,
        FailOn::High => Severity::High,
        FailOn::Critical => Severity::Critical,
    };
    let counts = |f: &Finding| match f.verdict {
        Verdict::Fail => reports::severity(f.id) >= least,
        Verdict::Warn => fail_on == FailOn::Warn,
        Verdict::Pass | Verdict::NotApplicable | Verdict::Inconclusive => false,
    };
    if findings.iter().any(counts) {
        ExitStatus::CheckFailed
    } else if findings.iter().any(|f| f.verdict == Verdict::Inconclusive) {
        ExitStatus::Unsure
    } else {
        ExitStatus::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_the_users_choice() {
        let finding = |id, verdict| Finding {
            id,
            title: "",
            subject: String::new(),
            verdict,
            expected: String::new(),
            observed: String::new(),
            remedy: None,
            line: None,
            vantage: "",
            millis: 0,
        };
        let of = |id, verdict, fail_on| judge(&[finding(id, verdict)], fail_on);
        // HDR-7 is low, NET-1 is critical.
        assert_eq!(of("HDR-7", Verdict::Fail, FailOn::Low), ExitStatus::CheckFailed);
        assert_eq!(of("HDR-7", Verdict::Fail, FailOn::Medium), ExitStatus::Done);
        assert_eq!(of("NET-1", Verdict::Fail, FailOn::Critical), ExitStatus::CheckFailed);
        assert_eq!(of("HDR-7", Verdict::Warn, FailOn::Low), ExitStatus::Done);
        assert_eq!(of("HDR-7", Verdict::Warn, FailOn::Warn), ExitStatus::CheckFailed);
        assert_eq!(of("NET-1", Verdict::Inconclusive, FailOn::Critical), ExitStatus::Unsure);
        let both = [finding("HDR-7", Verdict::Inconclusive), finding("NET-1", Verdict::Fail)];
        assert_eq!(judge(&both, FailOn::High), ExitStatus::CheckFailed);
    }
}
