//! Keys of limits.

use crate::base::problem::{Problem, Problems};
use crate::base::units::{Quota, Rate};
use crate::config::decode::{Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Int, word};
use crate::config::web::HeaderName;

table! {
    /// A limit per client: a `rate` with a burst (Nginx's leaky bucket), or a `quota` (so many in any hour). Refused requests get 429 and `Retry-After`, and do not count.
    LimitKeys as "a limit" short for quota {
        /// Sustained rate, such as `"10/s"` or `"30/m"`.
        rate: Rate => r#""10/s""#,
        /// Requests above the rate that are still admitted.
        burst: Int<0, 100_000> = "0" => "20",
        /// How many of the burst are admitted at once; the rest waits for the rate. Without it, the whole burst is admitted at once.
        delay: Int<0, 100_000> => "10",
        /// Instead of a rate: at most so many requests in any time of that length, such as `"5/hour"` or `"3/10s"`; `limit = "5/hour"` is short for it. Needs njs in Nginx's image. There is room for 1000 clients that use their quota up (64 MB at most); beyond that the oldest requests are forgotten first. Counts outlive a reload of Nginx, not a new container.
        quota: Quota => r#""5/hour""#,
        /// Header that tells clients apart, such as `"X-Api-Key"`; requests without it, and all by default, are told apart by address (IPv6 by /64). Only for values the service checks: who makes new ones up is a new client each time.
        key: HeaderName => r#""X-Api-Key""#,
        /// Who enforces it: `"app"` if the service does so itself; then it is only measured by `verify`.
        by: By = "\"proxy\"" => r#""app""#,
    }
}

const ENFORCERS: &[&str] = &["proxy", "app"];

/// `by`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Nginx.
    Proxy,
    /// The service.
    App,
}

impl Decode for By {
    fn shape() -> Shape {
        Shape::Word(ENFORCERS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, ENFORCERS, problems).map(|by| if by == "app" { Self::App } else { Self::Proxy })
    }
}

/// `limit`: `"off"`, a quota, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitKey {
    /// None.
    Off,
    /// A quota, nothing else said.
    Quota(Quota),
    /// In detail.
    Keys(Box<LimitKeys>),
}

const RATE: &str = "limit = { rate = \"10/s\", burst = 20 }";

impl Decode for LimitKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(&["off"]), Quota::shape(), LimitKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => keys(node, problems),
            Value::Text(_) if node.plain().as_deref() == Some("off") => Some(Self::Off),
            Value::Text(_) => Quota::decode(node, problems).map(Self::Quota),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

fn keys(node: &Node, problems: &mut Problems) -> Option<LimitKey> {
    let keys = LimitKeys::decode(node, problems)?;
    match (node.get("rate"), node.get("quota")) {
        (None, None) => {
            problems.push(Problem::error("a limit needs a `rate` or a `quota`").at(node.span.clone()).fix(RATE));
        }
        (Some(_), Some(_)) => {
            problems.push(
                Problem::error("a limit is a `rate` or a `quota`, not both")
                    .at(node.span.clone())
                    .help("with a rate, `burst` is how many may come at once"),
            );
        }
        (None, Some(_)) => {
            for name in ["burst", "delay"] {
                if let Some(found) = node.get(name) {
                    problems.push(
                        Problem::error(format!("a quota has no `{name}`"))
                            .at(found.key_span.clone())
                            .help("all of a quota may be used at once"),
                    );
                }
            }
        }
        (Some(_), None) => {}
    }
    (keys.rate.is_some() || keys.quota.is_some()).then(|| LimitKey::Keys(Box::new(keys)))
}
