//! The result, for programs and for people.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::stats::{Counts, Summary};

/// The whole result as one JSON object.
pub(crate) fn json(summary: &Summary) -> Value {
    let mut value = counts(&summary.all);
    if let Value::Object(map) = &mut value {
        map.insert("seconds".into(), round(summary.seconds));
        let modes: Map<_, _> = summary.modes.iter().map(|(m, c)| (m.name().to_owned(), counts(c))).collect();
        map.insert("modes".into(), Value::Object(modes));
    }
    value
}

fn counts(c: &Counts) -> Value {
    let failures: Map<_, _> = c
        .failures
        .iter()
        .map(|(class, f)| {
            let examples: Vec<_> =
                f.examples.iter().map(|(at, text)| json!({ "at": clock(*at), "text": text })).collect();
            (class.name().to_owned(), json!({ "count": f.count, "examples": examples }))
        })
        .collect();
    json!({
        "sent": c.sent,
        "ok": c.ok,
        "failed": c.failed(),
        "failures": failures,
        "statuses": c.statuses.iter().map(|(s, n)| (s.to_string(), json!(n))).collect::<Map<_, _>>(),
        "labels": c.labels,
        "reconnects": c.reconnects,
        "told_to_close": c.told_to_close,
        "latency_ms": {
            "p50": round(c.percentile_ms(50)),
            "p95": round(c.percentile_ms(95)),
            "p99": round(c.percentile_ms(99)),
            "max": round(c.percentile_ms(100)),
        },
        "longest_gap_ms": round(c.longest_gap.as_secs_f64() * 1000.0),
    })
}

/// The whole result as text.
pub(crate) fn table(summary: &Summary) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<10} {:>8} {:>8} {:>7} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "mode", "sent", "ok", "failed", "reconnects", "told", "p50 ms", "p95 ms", "p99 ms", "max ms", "gap ms"
    );
    let rows = summary.modes.iter().map(|(m, c)| (m.name(), c));
    for (name, c) in rows.chain([("total", &summary.all)]) {
        let _ = writeln!(
            out,
            "{:<10} {:>8} {:>8} {:>7} {:>10} {:>9} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            name,
            c.sent,
            c.ok,
            c.failed(),
            c.reconnects,
            c.told_to_close,
            c.percentile_ms(50),
            c.percentile_ms(95),
            c.percentile_ms(99),
            c.percentile_ms(100),
            c.longest_gap.as_secs_f64() * 1000.0,
        );
    }
    for (label, n) in &summary.all.labels {
        let _ = writeln!(out, "  answered by {label}: {n}");
    }
    for (status, n) in &summary.all.statuses {
        let _ = writeln!(out, "  status {status}: {n}");
    }
    for (class, f) in &summary.all.failures {
        let _ = writeln!(out, "  failed, {}: {}", class.name(), f.count);
        for (at, text) in &f.examples {
            let _ = writeln!(out, "    {} {text}", clock(*at));
        }
    }
    out
}

fn round(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

/// Time of day in UTC to the millisecond, to set beside the log of whatever happened then.
fn clock(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis())
}
