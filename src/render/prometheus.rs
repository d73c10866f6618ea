//! Prometheus: who is asked for metrics, and when their answers are a reason to call somebody.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::ServiceName;
use crate::model::artifact::Artifact;
use crate::model::monitoring::Alertmanager;
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, PROMETHEUS, PROMETHEUS_RULES};

/// Where Prometheus finds a service's replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// At these addresses.
    At(&'a [ScrapeTarget]),
    /// By asking the engine's DNS for the service's name, which answers with one address per replica.
    ByName,
}

/// A replica with metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScrapeTarget {
    /// Its service.
    pub service: ServiceName,
    /// Its number, from 1.
    pub replica: u32,
    /// `10.83.0.5:8000`
    pub address: String,
}

#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    stage: &'a str,
    external_labels: &'a BTreeMap<String, String>,
    alertmanager: Option<&'a Alertmanager>,
    jobs: Vec<Job<'a>>,
}

#[derive(Serialize)]
struct Rules<'a> {
    /// Somebody is told of alerts: a service of the stack, or another.
    alertmanager: Option<&'a Alertmanager>,
    jobs: Vec<Watched<'a>>,
}

/// What alerts of one service depend on.
#[derive(Serialize)]
struct Watched<'a> {
    name: &'a str,
    /// Somebody should be there to be asked.
    expected: bool,
    /// What to say where nobody is.
    missing: String,
    /// Its limit, in bytes.
    memory: Option<u64>,
    /// Its limit, in cores.
    cpus: Option<f64>,
}

#[derive(Serialize)]
struct Job<'a> {
    name: &'a str,
    path: &'a str,
    query: BTreeMap<&'a str, Vec<&'a str>>,
    targets: Vec<Target<'a>>,
    /// Port to ask at, where replicas are found by name.
    port: Option<u16>,
}

#[derive(Serialize)]
struct Target<'a> {
    address: &'a str,
    service: &'a str,
    replica: String,
}

/// Renders `prometheus.yml`, one job per service with metrics and one for Prometheus itself, and `rules.yml`. Targets
/// of a service without `metrics` are left out.
///
/// # Errors
/// [`RenderError::Value`] for a `$`, which Prometheus 2 and 3 read differently.
pub fn prometheus(stack: &Stack, found: Found<'_>) -> Result<Vec<Artifact>, RenderError> {
    let mut jobs = Vec::new();
    for service in stack.services.values() {
        let Some(metrics) = &service.metrics else { continue };
        let targets = match found {
            Found::At(targets) => targets,
            Found::ByName => &[],
        };
        let mut own: Vec<&ScrapeTarget> = targets.iter().filter(|target| target.service == service.name).collect();
        own.sort_by(|a, b| (a.replica, &a.address).cmp(&(b.replica, &b.address)));
        let (path, query) = metrics.split_once('?').unwrap_or((metrics, ""));
        let mut parameters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.entry(key).or_default().push(value);
        }
        jobs.push(Job {
            name: service.name.as_str(),
            path,
            query: parameters,
            targets: own
                .iter()
                .map(|target| Target {
                    address: &target.address,
                    service: target.service.as_str(),
                    replica: target.replica.to_string(),
                })
                .collect(),
            port: service.port.filter(|_| found == Found::ByName),
        });
    }
    let stage = stack.stage.as_deref().unwrap_or_default();
    let external_labels = &stack.monitoring.external_labels;
    let view = View {
        project: stack.project.as_str(),
        stage,
        external_labels,
        alertmanager: stack.monitoring.alertmanager.as_ref(),
        jobs,
    };
    Ok(vec![
        Artifact::plain("prometheus.yml", engine::fill(&PROMETHEUS, &view)?),
        Artifact::plain("rules.yml", engine::fill(&PROMETHEUS_RULES, &rules(stack))?),
    ])
}

fn rules(stack: &Stack) -> Rules<'_> {
    let watched = stack.services.values().filter(|service| service.metrics.is_some());
    let jobs = watched.map(|service| Watched {
        name: service.name.as_str(),
        expected: service.replicas > 0,
        missing: format!("Prometheus has nobody to ask for the metrics of {}", service.name),
        memory: service.memory.map(|size| size.0),
        cpus: service.cpus,
    });
    Rules { alertmanager: stack.monitoring.alertmanager.as_ref(), jobs: jobs.collect() }
}

/// Name and expression of each rule of a rendered `rules.yml`, in its order. Reads what our own template writes, and
/// nothing else of YAML.
pub fn rules_of(text: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    // Lines of an expression that stands below its key are indented further.
    let mut below: Option<usize> = None;
    for line in text.lines() {
        let word = line.trim_start();
        let indent = line.len() - word.len();
        if below.is_some_and(|key| indent <= key) {
            below = None;
        }
        let name = word.strip_prefix("- alert: ").or_else(|| word.strip_prefix("- record: "));
        if let Some(name) = name {
            out.push((name.to_owned(), String::new()));
        } else if let Some((_, expression)) = out.last_mut() {
            match word.strip_prefix("expr: ") {
                Some("|") => below = Some(indent),
                Some(short) => short.clone_into(expression),
                None if below.is_some() => expression.extend([word, "\n"]),
                None => {}
            }
        }
    }
    out
}
