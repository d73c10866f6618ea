//! L3: questions asked over the network, from outside of what they are about.
//!
//! [`verify`] runs the checklist ([`CATALOGUE`]) against a front door and hands out [`Finding`]s; [`ready`] asks one
//! service once whether it is up; [`through`] is one GET through a listener of our choice. Nothing here prints, writes
//! a file or talks to the engine: what others know comes in as [`Known`], and what has to be asked behind the front
//! door goes through [`Inside`].
//!
//! Whatever answers is taken for hostile: bodies, headers and times are capped ([`net::http`]), and everything that
//! reaches a finding goes through [`text::clean`].

mod catalogue;
mod causes;
mod check;
mod checks;
mod composed;
mod context;
mod grafana;
mod inside;
mod judged;
mod limit;
mod login;
mod meter;
mod net;
mod ready;
mod run;
mod site;
mod text;
mod timings;
mod tls;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::model::baseline::Baseline;
use crate::model::container::ContainerSpec;
use crate::model::finding::Finding;
use crate::model::observed::Observed;
use crate::model::secrets::SecretValues;
use crate::model::stack::Stack;
use crate::plan::Files;

pub use catalogue::CATALOGUE;
pub use causes::follows;
pub use check::{Check, Family, Severity};
pub use composed::{Glanced, composed};
pub use grafana::{grafana_login, grafana_password};
pub use inside::{Answer, Inside};
pub use login::{Login, postgres_login, redis_login};
pub use meter::{Meter, harmless_path};
pub use net::client::through;
pub use net::dns::servers as name_servers;
pub use net::error::ProbeError;
pub use net::http::Response;
pub use ready::{NotReady, body_holds, reach, ready};
pub use site::{Place, site};
pub use timings::Timings;

/// Where to connect. Names are never resolved here: they come from `stack.proxy.domains` and only go into requests and
/// handshakes, so a front door can be asked before the DNS points at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where plain HTTP is answered, if it can be reached.
    pub http: Option<SocketAddr>,
    /// Where HTTPS is answered, if it can be reached.
    pub https: Option<SocketAddr>,
    /// From where is asked: `host`, or `outside` for another machine. Only `outside` proves that a port is closed.
    pub vantage: &'static str,
    /// Port of plain HTTP as users write it in URLs.
    pub http_port: u16,
    /// Port of HTTPS as users write it in URLs: redirects must lead there.
    pub https_port: u16,
}

/// What to ask, and how long.
#[expect(clippy::struct_excessive_bools, reason = "each changes what some checks ask")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Leave out what takes long: no volleys at limits, one try at ports that should be closed.
    pub quick: bool,
    /// Only what a deploy waits for: health, TLS, headers, exposure. Never a volley.
    pub gate: bool,
    /// How long the whole checklist may take: what has no answer by then counts as not judged. `None`: as long as it
    /// takes.
    pub limit: Option<Duration>,
    /// How long the front door may take to become healthy. Limits have their own bounds
    /// ([`REQUESTS_PER_LIMIT`], [`TIME_PER_LIMIT`]).
    pub deadline: Duration,
    /// Identifiers (`TLS-1`) or families (`TLS`) to ask; empty for all. Case does not matter.
    pub only: Vec<String>,
    /// Identifiers or families to leave out.
    pub skip: Vec<String>,
    /// PEM certificates trusted beside the public roots: a company's own authority.
    pub trust: Option<String>,
    /// Who is asked for names; `None` if nobody is known.
    pub name_server: Option<SocketAddr>,
    /// No stack.toml declares what is asked ([`site()`]): general rules hold, and no line of a front door is named.
    pub site: bool,
    /// The containers are somebody else's ([`composed()`]): general rules hold for them.
    pub composed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quick: false,
            gate: false,
            limit: None,
            deadline: Duration::from_secs(30),
            only: Vec::new(),
            skip: Vec::new(),
            trust: None,
            name_server: None,
            site: false,
            composed: false,
        }
    }
}

/// Most requests one limit is measured with: enough for a burst of 100, and no load to speak of.
pub const REQUESTS_PER_LIMIT: usize = 200;

/// Longest time requests are offered to one limit; waiting for its bucket to drain may come on top, as long again.
pub const TIME_PER_LIMIT: Duration = Duration::from_secs(30);

/// What is known before anything is asked. What is not there cannot be seen from here: checks that need it do not
/// apply, and say so.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// What the engine has.
    pub observed: Option<&'a Observed>,
    /// The certificate chain that is configured (PEM, leaf first), to tell it from the one that is served.
    pub certificate: Option<&'a str>,
    /// The way behind the front door.
    pub inside: Option<&'a dyn Inside>,
    /// Containers as the stack wants them, by service; `proxy` for the front door.
    pub specs: Option<&'a BTreeMap<String, ContainerSpec>>,
    /// What `up` would do now, step by step.
    pub steps: Option<&'a [String]>,
    /// Rendered files of services that reload them.
    pub files: Option<&'a Files>,
    /// Values of the stack's secrets.
    pub values: Option<&'a SecretValues>,
    /// How fast it was.
    pub baseline: Option<&'a Baseline>,
    /// Where to put how fast it is; `None` if nobody wants to keep it.
    pub measured: Option<&'a RefCell<Baseline>>,
}

/// SHA-256 (hexadecimal) of the certificate that is shown for a name, whatever is to be thought of it.
///
/// # Errors
/// Why nothing was shown, in words.
pub async fn shown(address: SocketAddr, name: &str) -> Result<String, String> {
    let (chain, _) = tls::session::staple(address, name).await.map_err(|error| error.to_string())?;
    chain.first().map(|leaf| crate::base::hash::sha256(leaf)).ok_or_else(|| "no certificate was shown".to_owned())
}

/// Asks every question of the checklist and hands each finding to `sink`: the independent ones in parallel; limits side
/// by side, after all else that asks the front door for pages. Tells where the time went.
pub async fn verify(
    stack: &Stack,
    known: &Known<'_>,
    target: &Target,
    options: &Options,
    sink: &mut dyn FnMut(Finding),
) -> Timings {
    let context = context::Context::new(stack, known, target, options);
    let Some(limit) = options.limit else {
        run::run(&context, sink).await;
        return context.timings();
    };
    let mut answered = BTreeSet::new();
    let mut heard = |finding: Finding| {
        answered.insert(finding.id);
        sink(finding);
    };
    if tokio::time::timeout(limit, run::run(&context, &mut heard)).await.is_err() {
        for finding in run::unanswered(&context, &answered, limit) {
            sink(finding);
        }
    }
    context.timings()
}
