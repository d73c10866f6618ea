//! Keys of CORS.

use crate::base::problem::Problems;
use crate::base::units::Span;
use crate::config::decode::{At, Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::word;
use crate::config::web::{HeaderName, Method, Origin};

table! {
    /// Sites whose scripts may read the answers. Nginx answers preflights and sends the headers; what the service sends of them is dropped, so that there is one authority.
    CorsKeys as "cors" short for origins {
        /// Origins such as `"https://app.example.com"`, compared whole; `"*"` for any.
        origins: Vec<At<Origin>> => r#"["https://app.example.com"]"#,
        /// Methods they may use.
        methods: Vec<At<Method>> = "[\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"]" => r#"["GET", "POST"]"#,
        /// Request headers they may send.
        headers: Vec<At<HeaderName>> = "[\"Authorization\", \"Content-Type\"]" => r#"["Authorization"]"#,
        /// Whether cookies go along; not with `"*"`.
        credentials: bool = "false" => "true",
        /// How long browsers may remember the answer to a preflight.
        max_age: Span = "\"1h\"" => r#""10m""#,
    }
}

/// `cors`: `"off"`, origins, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum CorsKey {
    /// Left to the service.
    Off,
    /// Origins, nothing else said.
    Origins(Vec<At<Origin>>),
    /// In detail.
    Keys(Box<CorsKeys>),
}

impl Decode for CorsKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(&["off"]), Vec::<At<Origin>>::shape(), CorsKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::decode(node, problems).map(Self::Origins),
            Value::Table(_) => CorsKeys::decode(node, problems).map(|keys| Self::Keys(Box::new(keys))),
            Value::Text(_) => word(node, &["off"], problems).map(|_| Self::Off),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
