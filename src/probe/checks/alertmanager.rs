//! Alertmanager: whether people would be told. Nobody is told anything for the asking.

use std::net::{SocketAddr, SocketAddrV4};

use md5::{Digest as _, Md5};

use crate::model::finding::Finding;
use crate::model::service::{Preset, Service};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::{Door, Request};
use super::none_apply;
use super::prometheus::socket;

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const MON_5: Check = Check {
    id: "MON-5",
    family: Family::Monitoring,
    title: "people are told",
    question: "Does the Alertmanager go by the configuration that is rendered, is somebody in it, and did what it told get through? GET /metrics of it; nobody is told anything for the asking.",
    pass: "its last configuration was taken (`alertmanager_config_last_reload_successful`), is the rendered one (`alertmanager_config_hash`) and names somebody whose secret has a value; not all that it told by one way failed",
    source: "alertmanager config/coordinator.go: the hash is the first 48 bits of the file's MD5; notify/notify.go",
    severity: Severity::High,
    remedy: "`stackctl up` loads the rendered configuration; the log of the Alertmanager names a line that it refused, and why somebody could not be told",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    match context.stack.services.values().find(|s| s.preset == Some(Preset::Alertmanager)) {
        Some(service) => vec![Box::pin(told(context, service)).await],
        None => none_apply(&[&MON_5], context.stack.project.as_str(), None, "the stack has no Alertmanager"),
    }
}

async fn told(context: &Context<'_>, service: &Service) -> Finding {
    let question = MON_5.about(service.name.as_str()).line(service.line).from("engine network");
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return question.judged(why),
    };
    let metrics = match metrics(at).await {
        Ok(text) => text,
        Err(why) => return question.unsure(why),
    };
    let (Some(files), Some(values)) = (context.known.files, context.known.values) else {
        return question.not_applicable("not visible from here: it needs what is rendered");
    };
    let Some((_, rendered)) = files.get(&service.name) else { return question.unsure("nothing is rendered for it") };
    let rendered: String = rendered.iter().map(|file| file.content.expose()).collect();
    let (told, silent) = context.stack.monitoring.reachable(values);
    let names = |list: &[&crate::model::monitoring::Receiver]| -> Vec<&'static str> {
        list.iter().map(|to| to.key()).collect()
    };
    question.judged(judge(&metrics, &rendered, &names(&told), &names(&silent)))
}

async fn metrics(at: SocketAddrV4) -> Result<String, String> {
    let door = Door::plain(SocketAddr::V4(at), &at.to_string());
    let response = door.get(&Request::path("/metrics")).await.map_err(|e| e.to_string())?;
    if response.status != 200 {
        return Err(format!("{} for /metrics", response.status));
    }
    Ok(String::from_utf8_lossy(&response.body).into_owned())
}

/// The hash Alertmanager shows of its configuration: a number that a float holds exactly.
fn hash_of(config: &str) -> f64 {
    let sum = Md5::digest(config.as_bytes());
    sum.iter().take(6).rev().fold(0.0, |number, byte| number * 256.0 + f64::from(*byte))
}

/// Values of a metric whose labels hold a piece of text, added up; `None` if there is none.
fn sum(metrics: &str, name: &str, label: &str) -> Option<f64> {
    let mut found = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let whole = labels.is_empty() || labels.starts_with('{');
        value.parse::<f64>().ok().filter(|_| whole && labels.contains(label))
    });
    let first = found.next()?;
    Some(found.fold(first, |sum, value| sum + value))
}

fn judge(metrics: &str, rendered: &str, told: &[&str], silent: &[&str]) -> Judged {
    let taken = sum(metrics, "alertmanager_config_last_reload_successful", "");
    let hash = sum(metrics, "alertmanager_config_hash", "");
    let (Some(taken), Some(hash)) = (taken, hash) else {
        return Unsure("its metrics say nothing of its configuration".to_owned());
    };
    if taken < 1.0 {
        return Fail("it refused its last configuration, and goes on with an older one".to_owned());
    }
    // Whole numbers below 2^48: equal or at least 1 apart.
    if (hash - hash_of(rendered)).abs() >= 0.5 {
        return Fail("it goes by another configuration than the rendered one".to_owned());
    }
    let failing: Vec<&str> = told
        .iter()
        .copied()
        .filter(|way| {
            let label = format!("integration=\"{way}\"");
            let all = sum(metrics, "alertmanager_notifications_total", &label).unwrap_or(0.0);
            let failed = sum(metrics, "alertmanager_notifications_failed_total", &label).unwrap_or(0.0);
            all > 0.0 && failed >= all
        })
        .collect();
    if !failing.is_empty() {
        return Fail(format!("nothing that it told got through by {}", failing.join(", ")));
    }
    let left = if silent.is_empty() { String::new() } else { format!("; without a value: {}", silent.join(", ")) };
    match (told.is_empty(), silent.is_empty()) {
        (true, true) => Skip("nobody is named in `[monitoring]`".to_owned()),
        (true, false) => Warn(format!("nobody is told{left}")),
        (false, _) => Pass(format!("told by {}{left}", told.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "route:\n  receiver: x\n";

    fn metrics(taken: u8, hash: f64, slack: [u32; 2]) -> String {
        format!(
            "# HELP alertmanager_config_hash Hash of it.\nalertmanager_config_hash {hash:e}\n\
             alertmanager_config_last_reload_success_timestamp_seconds 1.7e+09\n\
             alertmanager_config_last_reload_successful {taken}\n\
             alertmanager_notifications_total{{integration=\"slack\"}} {}\n\
             alertmanager_notifications_failed_total{{integration=\"slack\",reason=\"other\"}} {}\n\
             alertmanager_notifications_failed_total{{integration=\"slack\",reason=\"serverError\"}} 0\n",
            slack[0], slack[1]
        )
    }

    /// Both sums are of `md5sum`; the second number is what Alertmanager 0.28 showed for that file.
    #[test]
    fn the_hash_is_the_one_that_is_shown() {
        let shown = |text: &str| format!("{}", hash_of(text));
        // d41d8cd98f00…: read from its end.
        assert_eq!(shown(""), (0x008f_d98c_1dd4_u64).to_string());
        // 900150983cd2…
        assert_eq!(shown("abc"), (0xd23c_9850_0190_u64).to_string());
    }

    #[test]
    fn people_are_told_or_it_is_said_why_not() {
        let right = hash_of(CONFIG);
        let asked = |text: String, told: &[&str], silent: &[&str]| judge(&text, CONFIG, told, silent);
        assert_eq!(asked(metrics(1, right, [0, 0]), &["slack"], &[]), Pass("told by slack".into()));
        assert_eq!(
            asked(metrics(1, right, [3, 1]), &["slack"], &["email"]),
            Pass("told by slack; without a value: email".into())
        );
        assert!(matches!(asked(metrics(0, right, [0, 0]), &["slack"], &[]), Fail(_)));
        assert!(matches!(asked(metrics(1, right + 1.0, [0, 0]), &["slack"], &[]), Fail(_)));
        assert_eq!(
            asked(metrics(1, right, [2, 2]), &["slack"], &[]),
            Fail("nothing that it told got through by slack".into())
        );
        assert!(matches!(asked(metrics(1, right, [0, 0]), &[], &["slack"]), Warn(_)));
        assert!(matches!(asked(metrics(1, right, [0, 0]), &[], &[]), Skip(_)));
        assert!(matches!(asked(String::new(), &["slack"], &[]), Unsure(_)));
    }
}
