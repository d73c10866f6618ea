//! `verify`

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::apply::inside::Behind;
use crate::apply::prepare::certificate;
use crate::apply::{self, Wanted};
use crate::cli::args::{Format, VerifyArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::Engine;
use crate::model::finding::{Finding, Verdict};
use crate::model::proxy::Proxy;
use crate::probe::{self, Known, Options, Target};
use crate::ui;
use crate::ui::findings::Report;

/// How much of a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All findings, in a format.
    All(Format),
    /// Those that are not as they should be, and a count.
    Problems,
}

/// Runs the checklist.
pub async fn run(args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let options = Options {
        quick: args.quick,
        gate: false,
        deadline: args.deadline.0,
        only: args.only.clone(),
        skip: args.skip.clone(),
        name_server: name_server(),
        ..Options::default()
    };
    let format = args.format.unwrap_or(if ctx.out.is_json() { Format::Json } else { Format::Human });
    report(&engine, &wanted, &options, Shown::All(format), ctx).await
}

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
    shown: Shown,
    ctx: &Context<'_>,
) -> anyhow::Result<ExitStatus> {
    let prepared = apply::prepare(engine, wanted).await.map_err(|e| session::failure(&e))?;
    let stack = &wanted.stack;
    let target = target(stack.proxy.as_ref());
    let behind = Behind::new(engine, wanted, &prepared);
    let steps: Vec<String> =
        prepared.plan.steps.iter().map(|step| format!("{} ({})", step.action, step.cause)).collect();
    let chain = stack.proxy.as_ref().and_then(|p| certificate(p, &prepared.values)).map(|(chain, _)| chain);
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
    match shown {
        Shown::All(Format::Human) => ctx.out.data(report.human(ctx.out.data_paint(), ctx.out.width()))?,
        Shown::All(Format::Json) => ctx.out.json(&report.json())?,
        Shown::All(Format::Junit) => ctx.out.data(ui::junit::junit(&report))?,
        Shown::Problems => {
            let wrong: Vec<Finding> = findings.iter().filter(|f| f.verdict > Verdict::NotApplicable).cloned().collect();
            let paint = ctx.out.talk_paint();
            if !wrong.is_empty() {
                let short = Report { findings: &wrong, ..report };
                ctx.out.say(short.lines_of_all(paint, ctx.out.width()).trim_end());
            }
            ctx.out.say(report.summary(paint));
        }
    }
    Ok(judge(&findings))
}

/// Where the front door is, seen from the engine's host: its published ports on loopback.
fn target(proxy: Option<&Proxy>) -> Target {
    let at = |proxy: &Proxy, port| {
        let address = if proxy.address.is_unspecified() { Ipv4Addr::LOCALHOST } else { proxy.address };
        SocketAddr::from((address, port))
    };
    Target {
        http: proxy.map(|p| at(p, p.http_port)),
        https: proxy.filter(|p| p.https()).map(|p| at(p, p.https_port)),
        vantage: "host",
        http_port: proxy.map_or(80, |p| p.http_port),
        https_port: proxy.map_or(443, |p| p.https_port),
    }
}

fn judge(findings: &[Finding]) -> ExitStatus {
    let of = |verdict| findings.iter().any(|f| f.verdict == verdict);
    if of(Verdict::Fail) {
        ExitStatus::CheckFailed
    } else if of(Verdict::Inconclusive) {
        ExitStatus::Unsure
    } else {
        ExitStatus::Done
    }
}
