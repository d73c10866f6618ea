//! `secrets check`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::apply::secrets::{Found, find};
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::files::git;
use crate::files::history::history;
use crate::model::finding::{Finding, Verdict};
use crate::model::history::History;
use crate::model::secrets::{SecretSource, SecretValues};
use crate::ui::findings::Report;
use crate::ui::text::{clean, count};

/// Longest time for the search of a repository's history.
const SEARCH: Duration = Duration::from_secs(120);

/// Asks everything that can be known about secrets without using them.
pub(super) async fn run(source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let started = session::now();
    let began = Instant::now();
    let engine = session::connect(ctx, source).await?;
    let state = super::state(&engine, &source.stack).await?;
    let found = find(&session::wanted(ctx, source), state.as_ref()).await;
    // What this run would make is nobody's yet.
    let kept: BTreeMap<&SecretName, &Secret> = found
        .values
        .iter()
        .filter(|(name, _)| {
            let generated =
                source.stack.secrets.get(*name).is_some_and(|s| matches!(s.source, SecretSource::Generate(_)));
            !generated || state.as_ref().is_some_and(|s| s.secrets.contains_key(*name))
        })
        .collect();
    let mut findings = values(source, &found);
    findings.extend(shared(source, &kept));
    findings.extend(in_git(source, &kept));
    let project = source.stack.project.to_string();
    let report = Report {
        project: &project,
        stage: source.stack.stage.as_deref().unwrap_or_default(),
        file: &ctx.settings.file.display().to_string(),
        findings: &findings,
        started,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        earlier: None,
        timings: None,
    };
    if ctx.out.is_json() {
        ctx.out.json(&report.json())?;
    } else {
        ctx.out.data(report.human(ctx.out.data_paint(), ctx.out.width()))?;
    }
    Ok(ExitStatus::of_findings(&findings))
}

fn finding(id: &'static str, title: &'static str, subject: &str, verdict: Verdict, observed: &str) -> Finding {
    Finding {
        id,
        title,
        subject: clean(subject),
        verdict,
        expected: String::new(),
        observed: clean(observed),
        remedy: None,
        line: None,
        vantage: "here",
        millis: 0,
    }
}

fn values(source: &Source, found: &Found) -> Vec<Finding> {
    const ID: (&str, &str) = ("SECRET-1", "has a value, and no placeholder");
    let mut out = Vec::new();
    for (name, spec) in &source.stack.secrets {
        if matches!(spec.source, SecretSource::Derived(_) | SecretSource::PublicOf(_)) {
            continue;
        }
        let problem = found.problems.iter().find(|(other, _)| other.as_ref() == Some(name));
        let (verdict, observed) = match (problem, found.values.get(name)) {
            (Some((_, why)), _) => (Verdict::Fail, why.clone()),
            (None, Some(_)) => (Verdict::Pass, spec.source.words()),
            (None, None) => (Verdict::NotApplicable, "optional, and has none".to_owned()),
        };
        out.push(Finding { line: Some(spec.line), ..finding(ID.0, ID.1, name.as_str(), verdict, &observed) });
    }
    for (_, why) in found.problems.iter().filter(|(name, _)| name.is_none()) {
        out.push(finding(ID.0, ID.1, "one of several", Verdict::Fail, why));
    }
    out
}

/// One value under two names: whoever may read one of them has both.
fn shared(source: &Source, kept: &BTreeMap<&SecretName, &Secret>) -> Vec<Finding> {
    const ID: (&str, &str) = ("SECRET-2", "is used for one thing");
    let own = |name: &SecretName| {
        source.stack.secrets.get(name).is_some_and(|s| !matches!(s.source, SecretSource::Derived(_)))
    };
    let mut by_value: BTreeMap<&str, Vec<&SecretName>> = BTreeMap::new();
    for (name, value) in kept.iter().filter(|(name, _)| own(name)) {
        by_value.entry(value.expose()).or_default().push(name);
    }
    let groups: Vec<Finding> = by_value
        .values()
        .filter(|names| names.len() > 1)
        .map(|names| {
            let list: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
            let observed = format!("{} have the same value", list.join(" and "));
            let remedy = Some("give each its own: who may read one of them has them all".to_owned());
            Finding { remedy, ..finding(ID.0, ID.1, list[0], Verdict::Warn, &observed) }
        })
        .collect();
    if groups.is_empty() {
        return vec![finding(ID.0, ID.1, "all values", Verdict::Pass, "no two are the same")];
    }
    groups
}

fn in_git(source: &Source, kept: &BTreeMap<&SecretName, &Secret>) -> Vec<Finding> {
    const FILE: (&str, &str) = ("SECRET-3", "is kept out of git");
    const HISTORY: (&str, &str) = ("SECRET-4", "was never in git");
    let folder = &source.folder;
    match git::is_repository(folder) {
        Some(true) => {}
        Some(false) => {
            let why = "the folder is in no git repository".to_owned();
            return vec![finding(HISTORY.0, HISTORY.1, "history", Verdict::NotApplicable, &why)];
        }
        None => {
            let why = "git is not installed".to_owned();
            return vec![finding(HISTORY.0, HISTORY.1, "history", Verdict::Inconclusive, &why)];
        }
    }
    let mut out: Vec<Finding> = private_files(source)
        .into_iter()
        .map(|path| {
            let shown = path.display().to_string();
            let (verdict, observed, remedy) = if git::is_tracked(folder, &path) {
                (
                    Verdict::Fail,
                    "git keeps it".to_owned(),
                    Some(format!("`git rm --cached {shown}`, ignore it, and rotate what is in it")),
                )
            } else if git::is_ignored(folder, &path) {
                (Verdict::Pass, "git ignores it".to_owned(), None)
            } else {
                let remedy = Some(format!("put a line `{shown}` into .gitignore"));
                (Verdict::Warn, "the next `git add .` takes it in".to_owned(), remedy)
            };
            Finding { remedy, ..finding(FILE.0, FILE.1, &shown, verdict, &observed) }
        })
        .collect();
    let values: SecretValues = kept
        .iter()
        .filter(|(_, value)| !is_public(value))
        .map(|(name, value)| ((*name).clone(), (*value).clone()))
        .collect();
    match history(folder, &values, SEARCH) {
        Err(why) => out.push(finding(HISTORY.0, HISTORY.1, "history", Verdict::Inconclusive, &why)),
        Ok(History::None) => {}
        Ok(History::Searched { files, too_large, found }) => {
            for (name, commit) in &found {
                let remedy =
                    Some("rotate it: whoever has a clone has it; then rewrite the history, if you must".into());
                let line = source.stack.secrets.get(name).map(|s| s.line);
                let observed = format!("its value is there since commit {commit}");
                let leak = finding(HISTORY.0, HISTORY.1, name.as_str(), Verdict::Fail, &observed);
                out.push(Finding { remedy, line, ..leak });
            }
            let searched = format!("{} searched for {}", count(files, "file"), count(values.len(), "value"));
            if too_large > 0 {
                let why = format!("{searched}; {too_large} were too large");
                out.push(finding(HISTORY.0, HISTORY.1, "history", Verdict::Inconclusive, &why));
            } else if found.is_empty() {
                out.push(finding(HISTORY.0, HISTORY.1, "history", Verdict::Pass, &searched));
            }
        }
    }
    out
}

/// Files with secrets beside stack.toml, as far as they are there.
fn private_files(source: &Source) -> Vec<PathBuf> {
    let files = source.stack.secrets.iter().filter_map(|(name, spec)| match &spec.source {
        SecretSource::File(path) if name.as_str() != "proxy.cert" => Some(PathBuf::from(path)),
        _ => None,
    });
    let mut out: Vec<PathBuf> = std::iter::once(PathBuf::from(".env")).chain(files).collect();
    out.retain(|path| source.folder.join(path).exists() && !path.starts_with("..") && !Path::new(path).is_absolute());
    out.sort();
    out.dedup();
    out
}

fn is_public(value: &Secret) -> bool {
    let text = value.expose();
    text.starts_with("-----BEGIN CERTIFICATE-----") || text.starts_with("-----BEGIN PUBLIC KEY-----")
}
