//! Who hears of errors.

use crate::base::secret::Secret;
use crate::model::finding::Finding;
use crate::model::secrets::SecretValues;
use crate::model::service::Service;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::none_apply;

use Judged::{Fail, Pass, Skip, Warn};

pub(in crate::probe) const ERR_1: Check = Check {
    id: "ERR-1",
    family: Family::Monitoring,
    title: "error tracking",
    question: "Does a service that is given a Sentry DSN get a right one, and may it reach it? The value is read, \
               nothing is sent.",
    pass: "https://KEY@HOST/PROJECT, and `egress` is on for the service",
    source: "docs.sentry.io: what a DSN consists of",
    severity: Severity::Medium,
    remedy: "copy the DSN from the project's settings; remove `egress = false` from the service",
};

/// Variables that Sentry's libraries read.
const DSN: [&str; 2] = ["SENTRY_DSN", "SENTRY_DSN_FILE"];

pub(in crate::probe) fn run(context: &Context<'_>) -> Vec<Finding> {
    let with = context.stack.services.values().filter(|s| DSN.iter().any(|name| s.environment.contains_key(*name)));
    let findings: Vec<Finding> = with
        .map(|service| {
            let question = ERR_1.about(service.name.as_str()).line(service.line).from("stack.toml");
            question.judged(match context.known.values {
                Some(values) => tracked(service, values),
                None => Skip("not visible from here: it needs the values of the secrets".to_owned()),
            })
        })
        .collect();
    if findings.is_empty() {
        return none_apply(&[&ERR_1], context.stack.project.as_str(), None, "no service has SENTRY_DSN");
    }
    findings
}

fn tracked(service: &Service, values: &SecretValues) -> Judged {
    let given = service.environment.get("SENTRY_DSN").map(|template| template.fill(values));
    let file = service.environment.get("SENTRY_DSN_FILE");
    let file = file.and_then(|template| template.files().next()).and_then(|name| values.get(name)).cloned();
    let Some(dsn) = given.or(file).filter(|value| !value.expose().trim().is_empty()) else {
        return Skip("the DSN is not set".to_owned());
    };
    if !service.egress {
        return Fail("`egress = false`: it cannot reach it".to_owned());
    }
    match host_of(&dsn) {
        Some((host, true)) => Pass(format!("errors go to {host}")),
        Some((host, false)) => Warn(format!("errors go to {host} over plain HTTP")),
        None => Fail("not of the form https://KEY@HOST/PROJECT".to_owned()),
    }
}

/// Host of a DSN, and whether it is asked over HTTPS. The key stays where it is.
fn host_of(dsn: &Secret) -> Option<(String, bool)> {
    let (scheme, rest) = dsn.expose().trim().split_once("://")?;
    let (key, place) = rest.split_once('@')?;
    let (host, project) = place.split_once('/')?;
    let project = project.rsplit('/').next()?;
    let fine = !key.is_empty()
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b))
        && !project.is_empty()
        && project.bytes().all(|b| b.is_ascii_digit());
    match scheme {
        "https" if fine => Some((host.to_owned(), true)),
        "http" if fine => Some((host.to_owned(), false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_is_a_url_with_a_key_and_a_number() {
        let host = |text: &str| host_of(&Secret::new(text));
        assert_eq!(host("https://abc@o1.ingest.sentry.io/42"), Some(("o1.ingest.sentry.io".into(), true)));
        assert_eq!(host("http://abc@errors.lan:9000/p/1\n"), Some(("errors.lan:9000".into(), false)));
        for bad in ["", "abc", "https://o1.sentry.io/1", "https://@h/1", "https://a@h/x", "ftp://a@h/1"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
