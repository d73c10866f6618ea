//! What is asked of expressions of Prometheus without understanding them: whether two are the same but for how they are
//! printed, and which metrics they are about.

use std::collections::BTreeSet;

/// Words that are neither metrics nor functions (prometheus promql/parser/lex.go).
const WORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "atan2",
    "bool",
    "offset",
    "inf",
    "nan",
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "start",
    "end",
];

/// Words with a list of labels behind them.
const LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Word, or name of a metric, a function or a label.
    Word(String),
    /// Number or duration, as Prometheus would print it.
    Number(String),
    /// Text in quotes, with them.
    Text(String),
    Sign(char),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) | Self::Text(text) => text.clone(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

/// A metric that an expression is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metric {
    /// Its name.
    pub(super) name: String,
    /// The job it must be of, where the selector says one.
    pub(super) job: Option<String>,
}

/// An expression in one form: without what is printed one way or another.
pub(super) fn canonical(expression: &str) -> String {
    let tokens = tokens(expression);
    let mut parts = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((first, more)) = rest.split_first() {
        if *first == Token::Sign('{') {
            let (inside, after) = until(more, '}');
            let mut matchers: Vec<String> = inside
                .split(|token| *token == Token::Sign(','))
                .map(|matcher| matcher.iter().map(Token::text).collect())
                .filter(|matcher: &String| !matcher.is_empty())
                .collect();
            matchers.sort();
            parts.push(format!("{{{}}}", matchers.join(",")));
            rest = after;
        } else {
            parts.push(first.text());
            rest = more;
        }
    }
    parts.join(" ")
}

/// The metrics that an expression selects.
pub(super) fn metrics(expression: &str) -> BTreeSet<Metric> {
    let tokens = tokens(expression);
    let mut out = BTreeSet::new();
    let mut rest = tokens.as_slice();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        let Token::Word(word) = first else { continue };
        let lower = word.to_ascii_lowercase();
        let called = more.first() == Some(&Token::Sign('('));
        if LISTS.contains(&lower.as_str()) {
            rest = if called { until(&more[1..], ')').1 } else { more };
        } else if !called && !WORDS.contains(&lower.as_str()) {
            let (inside, after) = match more.split_first() {
                Some((Token::Sign('{'), inside)) => until(inside, '}'),
                _ => (&[][..], more),
            };
            let job = inside.windows(3).find_map(|matcher| match matcher {
                [Token::Word(label), Token::Sign('='), Token::Text(value)] if label == "job" => {
                    Some(value.trim_matches('"').to_owned())
                }
                _ => None,
            });
            out.insert(Metric { name: word.clone(), job });
            rest = after;
        }
    }
    out
}

/// What stands before a sign, and what comes after it.
fn until(tokens: &[Token], sign: char) -> (&[Token], &[Token]) {
    let at = tokens.iter().position(|token| *token == Token::Sign(sign)).unwrap_or(tokens.len());
    (&tokens[..at], tokens.get(at + 1..).unwrap_or_default())
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '\'' | '`' => quoted(rest, first),
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => {
                run(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            }
            c if c.is_ascii_digit() => number(rest),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        out.push(match first {
            '"' | '\'' | '`' => Token::Text(token.to_owned()),
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => Token::Word(token.to_owned()),
            c if c.is_ascii_digit() => {
                Token::Number(token.parse::<f64>().map_or_else(|_| token.to_owned(), |n| n.to_string()))
            }
            c => Token::Sign(c),
        });
        rest = after.trim_start();
    }
    out
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !belongs(c)).unwrap_or(text.len())
}

/// Digits, a point, an exponent with its sign, or the letters of a duration.
fn number(text: &str) -> usize {
    let end = run(text, |c| c.is_ascii_alphanumeric() || c == '.');
    let signed = text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['+', '-']);
    if signed { end + 1 + run(&text[end + 1..], |c| c.is_ascii_digit()) } else { end }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_but_for_how_it_is_printed() {
        for (ours, printed) in [
            ("up == 0", "up == 0"),
            ("sum by (job) (\n  rate(x[5m])\n)", "sum by (job) (rate(x[5m]))"),
            ("x{status=~\"5..\", job!=\"\"} > 0.8 * 536870912", "x{job!=\"\",status=~\"5..\"} > 0.8 * 5.36870912e+08"),
            ("histogram_quantile(0.95, a)", "histogram_quantile(0.95, a)"),
        ] {
            assert_eq!(canonical(ours), canonical(printed));
        }
        for (one, other) in [
            ("up == 0", "up == 1"),
            ("x[5m]", "x[15m]"),
            ("x{a=\"b c\"}", "x{a=\"bc\"}"),
            ("a or b", "aorb"),
            ("0.8 * 536870912", "0.8 * 536870913"),
        ] {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn metrics_are_found() {
        let found = |text: &str| -> Vec<String> {
            let name = |m: Metric| m.job.map_or(m.name.clone(), |job| format!("{}@{job}", m.name));
            metrics(text).into_iter().map(name).collect()
        };
        assert_eq!(found("sum by (job, le) (rate(a_bucket[5m])) or b:c > 0.5"), ["a_bucket", "b:c"]);
        assert_eq!(found("absent(up{job=\"app\"})"), ["up@app"]);
        assert_eq!(found("a{b=\"c\"} / on(job) group_left(x) d offset 5m unless e"), ["a", "d", "e"]);
        assert_eq!(
            found("sum(process_resident_memory_bytes{job=\"app\"}) > 0.8 * 1e9"),
            ["process_resident_memory_bytes@app"]
        );
        assert_eq!(found("vector(1)"), [""; 0]);
        assert_eq!(found("\"unfinished"), [""; 0]);
    }
}
