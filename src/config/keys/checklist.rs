//! Keys of what stack.toml adds to the checklist.

use crate::base::date::Date;
use crate::base::name::ServiceName;
use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::{Decode, Map, MapKey, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Command, Int, Text};
use crate::model::checklist::ATTESTABLE;

table! {
    /// A check of your own, asked by `verify`. Give one of `path`, `tcp`, `command`, `sql` and `promql`.
    OwnKeys as "a check" {
        /// Path and query, asked at the front door.
        path: Text => r#""/api/search?q=x""#,
        /// Method of the request.
        method: Text = "\"GET\"" => r#""POST""#,
        /// Headers of the request.
        headers: Map<Text, Text> => r#"{ Accept = "application/json" }"#,
        /// Body of the request.
        body: Text => r#""{}""#,
        /// Status that must come back. Without it, any from 200 to 299.
        status: Int<100, 599> => "404",
        /// Text that the body must hold.
        contains: Text => r#""Sign in""#,
        /// Values that a JSON body must have, by path: `"items.0.name" = "first"`.
        json: Map<JsonPath, Scalar> => r#"{ status = "healthy" }"#,
        /// `host:port` that must accept a connection, asked from where `verify` runs.
        tcp: Text => r#""mail.example.com:25""#,
        /// Command that must exit 0 in a running container of `service`.
        command: Command => r#"["python", "-m", "app.selftest"]"#,
        /// Query on the PostgreSQL `service`; its first value must be a number.
        sql: Text => r#""select count(*) from jobs""#,
        /// Query on the stack's Prometheus; every value it finds counts, and there must be one.
        promql: Text => r#""up""#,
        /// Service for `command` and `sql`.
        service: ServiceName => r#""postgres""#,
        /// Smallest number allowed, for `sql` and `promql`.
        at_least: Figure => "1",
        /// Largest number allowed, for `sql` and `promql`.
        at_most: Figure => "50",
        /// Longest time it may take.
        within: Span = "\"5s\"" => r#""500ms""#,
    }
}

table! {
    /// A finding that you put up with for a while: it becomes a warning that names the reason. After the last day it fails again.
    WaiverKeys as "a waiver" {
        /// Identifier of the check, such as `TLS-5`, or a family, such as `TLS`.
        check: Text => r#""TLS-5""#,
        /// Only findings whose subject holds this text.
        subject: Text => r#""www.example.com""#,
        /// Why it is put up with.
        reason: Text => r#""the certificate is ordered""#,
        /// Last day, such as `"2027-03-31"`.
        until: Date => r#""2027-03-31""#,
    }
}

table! {
    /// Your word for something no machine can judge. It holds until its last day, and then fails.
    AttestationKeys as "an attestation" {
        /// Who vouches for it.
        by: Text => r#""ops@example.com""#,
        /// Day it was seen to be so, such as `"2026-11-20"`.
        on: Date => r#""2026-11-20""#,
        /// Last day it holds. Without it, as long after `on` as the guides let pass between two looks.
        until: Date => r#""2027-11-20""#,
    }
}

impl Decode for Date {
    fn shape() -> Shape {
        Shape::Text { what: "a date such as \"2027-03-31\"", pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Date(_) = node.value {
            problems
                .push(Problem::error("a date is written as a string here").at(node.span.clone()).fix("\"2027-03-31\""));
            return None;
        }
        let text = Text::decode(node, problems)?.0;
        text.parse().map_err(|message| problems.push(Problem::error(message).at(node.span.clone()))).ok()
    }
}

/// A number of any kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub f64);

impl Decode for Figure {
    fn shape() -> Shape {
        Shape::Figure
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            #[expect(clippy::cast_precision_loss, reason = "no threshold has sixteen digits")]
            Value::Integer(n) => Some(Self(n as f64)),
            Value::Float(n) => Some(Self(n)),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// Where a value stands in a JSON document: names and numbers of elements, joined by dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(pub String);

impl MapKey for JsonPath {
    const WHAT: &'static str = "path";
    const RULE: &'static str = "names and numbers joined by dots, such as `status` or `items.0.name`";
    fn parse(text: &str) -> Option<Self> {
        let sane = !text.is_empty() && text.split('.').all(|part| !part.is_empty());
        sane.then(|| Self(text.to_owned()))
    }
}

/// A string, a number or a boolean, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl Decode for Scalar {
    fn shape() -> Shape {
        Shape::Either(vec![Text::shape(), Shape::Figure, Shape::Boolean])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Integer(n) => Some(Self(n.to_string())),
            Value::Float(n) => Some(Self(n.to_string())),
            Value::Boolean(b) => Some(Self(b.to_string())),
            Value::Text(_) => Text::decode(node, problems).map(|text| Self(text.0)),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// Something people can vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestable(pub String);

impl MapKey for Attestable {
    const WHAT: &'static str = "attestation";
    const RULE: &'static str = "alerts, backups, costs, documentation, encryption, firewall, images, load_test, restore, \
                                sessions, tests, updates";
    fn parse(text: &str) -> Option<Self> {
        ATTESTABLE.iter().any(|(name, _)| *name == text).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_names_all_that_can_be_attested() {
        let names: Vec<&str> = ATTESTABLE.iter().map(|(name, _)| *name).collect();
        assert_eq!(Attestable::RULE, names.join(", "));
    }
}
