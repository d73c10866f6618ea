//! Addresses in environments, as the programs that read them see them.

use std::ops::Range;

use crate::config::tree::Part;

/// A URL with references in it.
pub(super) struct Url<'a> {
    /// Before `://`.
    pub(super) scheme: String,
    /// Password: what it is put together from; `None` if there is none.
    pub(super) password: Option<Vec<&'a Part>>,
    /// Host name, empty if a reference is in it.
    pub(super) host: String,
    /// Port, if it is written.
    pub(super) port: Option<u16>,
    /// Names of the parameters behind `?`.
    pub(super) parameters: Vec<String>,
}

/// A reference in a text: none of the characters a URL is cut at.
const MARK: char = '\u{1}';

impl<'a> Url<'a> {
    /// Reads a value that is a URL as a whole.
    pub(super) fn parse(parts: &'a [Part]) -> Option<Self> {
        let mut text = String::new();
        let mut pieces: Vec<(Range<usize>, &Part)> = Vec::new();
        for part in parts {
            let start = text.len();
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Reference(_) => text.push(MARK),
            }
            pieces.push((start..text.len(), part));
        }
        let (scheme, rest) = text.split_once("://")?;
        let letters = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if scheme.is_empty() || !scheme.bytes().all(letters) || rest.contains(char::is_whitespace) {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        let start = scheme.len() + 3;
        let password =
            user.and_then(|user| user.split_once(':')).filter(|(_, p)| !p.is_empty()).map(|(name, password)| {
                let range = start + name.len() + 1..start + name.len() + 1 + password.len();
                pieces.iter().filter(|(r, _)| r.start < range.end && range.start < r.end).map(|(_, p)| *p).collect()
            });
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (host, None),
        };
        let query = rest.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or(query));
        let parameters = query.split('&').filter_map(|p| p.split('=').next()).filter(|p| !p.is_empty());
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            password,
            host: if host.contains(MARK) { String::new() } else { host.to_ascii_lowercase() },
            port,
            parameters: parameters.map(str::to_owned).collect(),
        })
    }

    /// Whether it is an address of PostgreSQL, with or without `SQLAlchemy`'s driver behind a `+`.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.scheme.split('+').next(), Some("postgresql" | "postgres"))
    }

    /// The port, or the one the scheme stands for.
    pub(super) fn port(&self) -> Option<u16> {
        self.port.or(match self.scheme.split('+').next()? {
            "postgresql" | "postgres" => Some(5432),
            "redis" | "rediss" => Some(6379),
            "http" => Some(80),
            "https" => Some(443),
            "amqp" => Some(5672),
            "mysql" => Some(3306),
            "mongodb" => Some(27017),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        let mut problems = crate::base::problem::Problems::default();
        let tree = crate::config::tree::parse(&format!("a = \"{text}\""), &mut problems);
        match tree.get("a").map(|e| e.node.value.clone()) {
            Some(crate::config::tree::Value::Text(parts)) => parts,
            _ => Vec::new(),
        }
    }

    #[test]
    fn urls_are_cut_where_programs_cut_them() {
        let parts = parts("postgresql+asyncpg://u:${secrets.pw}@DB:5433/x?sslmode=require&pool_size=20");
        let Some(url) = Url::parse(&parts) else { unreachable!("a URL") };
        assert!(url.is_postgres());
        assert_eq!((url.host.as_str(), url.port()), ("db", Some(5433)));
        assert_eq!(url.parameters, ["sslmode", "pool_size"]);
        assert_eq!(url.password, Some(vec![&Part::Reference("secrets.pw".into())]));
    }

    #[test]
    fn what_is_no_url_is_left_alone() {
        for text in ["", "x", "a b://c", "://x", "see http://a b"] {
            assert!(Url::parse(&parts(text)).is_none(), "{text}");
        }
        let plain = parts("redis://${redis.host}/0");
        assert_eq!(Url::parse(&plain).map(|u| (u.host, u.password.is_none())), Some((String::new(), true)));
    }
}
