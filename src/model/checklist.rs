//! What stack.toml adds to the checklist: the user's own checks, findings that are put up with for a while, and what
//! people vouch for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::date::Date;
use crate::base::name::ServiceName;
use crate::base::units::Span;

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checklist {
    /// The user's own checks, in the order of the file.
    pub own: Vec<OwnCheck>,
    /// Findings that are put up with.
    pub waivers: Vec<Waiver>,
    /// What people vouch for, by what it is ([`ATTESTABLE`]).
    pub attested: BTreeMap<String, Attestation>,
}

/// A check of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnCheck {
    /// Its name.
    pub name: String,
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// What is asked.
    pub ask: OwnAsk,
    /// Longest time it may take.
    pub within: Span,
}

/// What a check of the user's own asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnAsk {
    /// A request at the front door.
    Http(OwnRequest),
    /// A connection to `host:port`, from where `verify` runs.
    Tcp(String),
    /// A command in a container of a service; it must exit 0.
    Command {
        /// The service.
        service: ServiceName,
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// A query on a PostgreSQL of the stack; its first value is a number.
    Sql {
        /// The service.
        service: ServiceName,
        /// The query.
        query: String,
        /// What is allowed.
        bounds: Bounds,
    },
    /// A query on the stack's Prometheus; every value of its result is a number.
    Promql {
        /// The query.
        query: String,
        /// What is allowed.
        bounds: Bounds,
    },
}

/// A request at the front door, and what must come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: String,
    /// Status; `None` for any from 200 to 299.
    pub status: Option<u16>,
    /// Text the body must hold.
    pub contains: Option<String>,
    /// Values of a JSON body by their path, such as `status` or `items.0.name`.
    pub json: BTreeMap<String, String>,
}

/// Bounds of a number, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Smallest.
    pub least: Option<f64>,
    /// Largest.
    pub most: Option<f64>,
}

/// A finding that is put up with until a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiver {
    /// Identifier of the check, or a family.
    pub check: String,
    /// Only where this stands in the finding's subject.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// Last day.
    pub until: Date,
    /// Line of stack.toml, from 1.
    pub line: u32,
}

/// Somebody's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attestation {
    /// Who.
    pub by: String,
    /// When.
    pub on: Date,
    /// Last day it holds.
    pub until: Date,
    /// Line of stack.toml, from 1.
    pub line: u32,
}

/// What can be vouched for, and for how many days a word holds where none is given: as often as the guides want it done.
pub const ATTESTABLE: &[(&str, u64)] = &[
    ("alerts", 90),
    ("backups", 31),
    ("costs", 31),
    ("documentation", 180),
    ("encryption", 365),
    ("firewall", 180),
    ("images", 31),
    ("load_test", 180),
    ("restore", 31),
    ("sessions", 365),
    ("tests", 31),
    ("updates", 31),
];
