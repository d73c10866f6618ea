//! `verify`

mod compose;
mod kept;
mod outside;
mod target;

pub(super) use target::target;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::apply::certificates;
use crate::apply::inside::Behind;
use crate::apply::{self, Wanted};
use crate::cli::args::{Against, FailOn, Format, VerifyArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::Engine;
use crate::engine::state::baseline_file;
use crate::model::baseline::Baseline;
use crate::model::finding::{Finding, Verdict};
use crate::model::stack::Stack;
use crate::model::state::State;
use crate::probe::{self, Known, Options, Severity, Target};
use crate::ui::error::Failure;
use crate::ui::findings::Report;
use crate::ui::paint::Paint;
use crate::ui::reports::earlier::Earlier;
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
        /// What it is compared with.
        earlier: Option<Earlier>,
    },
    /// Those that are not as they should be, and a count.
    Problems,
}

impl Shown {
    fn all(args: &VerifyArgs, ctx: &Context<'_>) -> Result<Self, Failure> {
        let format = args.format.unwrap_or(if ctx.out.is_json() { Format::Json } else { Format::Human });
        Ok(Self::All {
            format,
            files: args.report.clone(),
            fail_on: args.fail_on,
            save_baseline: args.save_baseline,
            earlier: match &args.against {
                Some(Against::File(file)) => Some(earlier(file, &ctx.env.cwd)?),
                Some(Against::Release(_)) | None => None,
            },
        })
    }
}

/// Runs the checklist.
pub async fn run(args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    if let Some(file) = &args.compose {
        return compose::run(file, args, ctx).await;
    }
    if args.outside || args.url.is_some() {
        return outside::run(args, ctx).await;
    }
    let mut shown = Shown::all(args, ctx)?;
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    if let (Shown::All { earlier, .. }, Some(Against::Release(number))) = (&mut shown, &args.against) {
        *earlier = Some(kept::of_release(&engine, &source.stack, *number).await?);
    }
    let mut wanted = session::wanted(ctx, &source);
    wanted.look_into_files = !args.quick;
    report(&engine, &wanted, &options(args, ctx)?, &shown, ctx).await
}

/// What is asked, and how long.
fn options(args: &VerifyArgs, ctx: &Context<'_>) -> anyhow::Result<Options> {
    let trust = args.trust.as_ref().map(|file| authorities(&ctx.env.cwd.join(file))).transpose()?;
    Ok(Options {
        quick: args.quick,
        limit: Some(args.deadline.0),
        deadline: HEALTHY.min(args.deadline.0 / 2),
        only: args.only.clone(),
        skip: args.skip.clone(),
        trust,
        name_server: name_server(),
        ..Options::default()
    })
}

/// Certificates of authorities, PEM.
fn authorities(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read", file.display())).because(error))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(text);
    }
    Err(Failure::usage(format!("`{}` holds no certificate", file.display()))
        .hint("write the authority's certificate into it, as PEM: -----BEGIN CERTIFICATE-----"))
}

/// The report that this one is compared with.
fn earlier(file: &Path, folder: &Path) -> Result<Earlier, Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(folder.join(file))
        .map_err(|error| Failure::usage(format!("`{name}` cannot be read")).because(error))?;
    Earlier::read(&name, &text).map_err(|why| {
        Failure::usage(format!("`{name}` cannot be compared with: {why}"))
            .hint(format!("write one while all is well: `stackctl verify --json >{name}`"))
    })
}

/// Longest wait for the front door to become healthy.
const HEALTHY: Duration = Duration::from_secs(60);

/// The system's own name server.
fn name_server() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    probe::name_servers(&text).first().copied()
}

/// Asks a stack with everything its engine knows of it.
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
    let chain =
        stack.proxy.as_ref().and_then(|p| certificates::configured(p, &prepared.values)).map(|(chain, _)| chain);
    let save = matches!(shown, Shown::All { save_baseline: true, .. });
    let measured = RefCell::new(Baseline::default());
    let known = Known {
        observed: Some(&prepared.observed),
        certificate: chain.as_deref(),
        inside: Some(&behind),
        specs: Some(&prepared.specs),
        steps: Some(&steps),
        files: Some(&prepared.files),
        values: Some(&prepared.values),
        baseline: prepared.observed.state.as_ref().and_then(|s| s.baseline.as_ref()).filter(|_| !save),
        measured: save.then_some(&measured),
    };
    let file = ctx.settings.file.display().to_string();
    let (status, findings) =
        ask(&Asked { stack, known: &known, target: &target, options, file: &file }, shown, ctx).await?;
    if save && !measured.borrow().paths.is_empty() {
        let file = baseline_file(&measured.borrow());
        engine.write_state(&stack.project, &[file]).await?;
    }
    // What --quick leaves out is not known, and what was picked is not the release.
    if !options.quick && options.only.is_empty() && options.skip.is_empty() {
        let state = prepared.observed.state.as_ref();
        if let Some(release) = state.and_then(State::current) {
            kept::keep(engine, stack, release, &findings, ctx).await;
        }
    }
    Ok(status)
}

/// Whom to ask, and what is known of it.
struct Asked<'a> {
    stack: &'a Stack,
    known: &'a Known<'a>,
    target: &'a Target,
    options: &'a Options,
    /// What reports call the file.
    file: &'a str,
}

/// Asks, shows, judges.
async fn ask(asked: &Asked<'_>, shown: &Shown, ctx: &Context<'_>) -> anyhow::Result<(ExitStatus, Vec<Finding>)> {
    let Asked { stack, known, target, options, file } = *asked;
    let mut findings: Vec<Finding> = Vec::new();
    let started = session::now();
    let began = Instant::now();
    let watch = ui::watch::Watch::new(ctx.out, "asking the front door");
    let timings = probe::verify(stack, known, target, options, &mut |finding| {
        watch.say(&format!("{} {}: {}", finding.id, finding.title, finding.subject));
        findings.push(finding);
    })
    .await;
    drop(watch);
    // Some were asked beside the others; the report has the catalogue's order.
    findings.sort_by_key(|finding| probe::CATALOGUE.iter().position(|check| check.id == finding.id));
    let report = Report {
        project: stack.project.as_str(),
        stage: stack.stage.as_deref().unwrap_or_default(),
        file,
        findings: &findings,
        started,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        earlier: if let Shown::All { earlier, .. } = shown { earlier.as_ref() } else { None },
        timings: Some(&timings),
    };
    show(&report, shown, ctx)?;
    let times = report.times(ctx.out.talk_paint(), ctx.out.width());
    if !times.is_empty() {
        ctx.out.detail(times.trim_end());
    }
    let fail_on = if let Shown::All { fail_on, .. } = shown { *fail_on } else { FailOn::Low };
    let earlier = report.earlier;
    // What was so before is not this run's.
    let status = judge(findings.iter().filter(|f| earlier.is_none_or(|earlier| earlier.is_worse(f))), fail_on);
    Ok((status, findings))
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
            let paint = ctx.out.talk_paint();
            let problems = report.problems(paint, ctx.out.width());
            if !problems.is_empty() {
                ctx.out.say(problems.trim_end());
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
        Format::Gitlab => format!("{:#}\n", reports::gitlab::gitlab(report)),
        Format::Markdown => reports::markdown::markdown(report),
        Format::Html => reports::html::html(report),
        Format::Prometheus => reports::prometheus::prometheus(report),
    }
}

fn judge<'a>(findings: impl Iterator<Item = &'a Finding>, fail_on: FailOn) -> ExitStatus {
    let findings: Vec<&Finding> = findings.collect();
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
    if findings.iter().copied().any(counts) {
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
        let of = |id, verdict, fail_on| judge([finding(id, verdict)].iter(), fail_on);
        // HDR-7 is low, NET-1 is critical.
        assert_eq!(of("HDR-7", Verdict::Fail, FailOn::Low), ExitStatus::CheckFailed);
        assert_eq!(of("HDR-7", Verdict::Fail, FailOn::Medium), ExitStatus::Done);
        assert_eq!(of("NET-1", Verdict::Fail, FailOn::Critical), ExitStatus::CheckFailed);
        assert_eq!(of("HDR-7", Verdict::Warn, FailOn::Low), ExitStatus::Done);
        assert_eq!(of("HDR-7", Verdict::Warn, FailOn::Warn), ExitStatus::CheckFailed);
        assert_eq!(of("NET-1", Verdict::Inconclusive, FailOn::Critical), ExitStatus::Unsure);
        let both = [finding("HDR-7", Verdict::Inconclusive), finding("NET-1", Verdict::Fail)];
        assert_eq!(judge(both.iter(), FailOn::High), ExitStatus::CheckFailed);
    }
}
