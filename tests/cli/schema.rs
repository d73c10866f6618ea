//! The JSON schema, judged by a validator of somebody else: it accepts what we accept, and rejects what a schema can
//! know to be wrong.

use std::fs;

use boon::{Compiler, Draft, Schemas};
use stackctl::config::describe;

use crate::harness::root;
use crate::wrong;

/// Wrong files that the schema accepts, since what is wrong is beyond a schema: what names refer to, what values mean
/// together, what `.env` holds.
const BEYOND: &[&str] = &[
    "cycle",
    "database-routed",
    "depends-on-nobody",
    "env-lines",
    "env-missing",
    "env-value",
    "health-two-questions",
    "health-without-port",
    "like-like",
    "like-nobody",
    "limit-on-health",
    "limit-without-njs",
    "limit-without-rate",
    "monitoring-elsewhere",
    "monitoring-nobody",
    "monitoring-plain",
    "nothing-to-run",
    "notify-api",
    "notify-token",
    "overlay-reference",
    "preset-keys-elsewhere",
    "preset-twice",
    "proxy-errors",
    "proxy-headers",
    "proxy-tls",
    "proxy-without-routes",
    "reference-elsewhere",
    "reference-offers",
    "references",
    "route-encoded",
    "route-without-port",
    "route-without-service",
    "secret-no-such",
    "secret-placeholder",
    "secret-token",
    "service-health-body",
    "service-published-twice",
    "service-worker-with-route",
    "snippets",
    "too-many",
    "url-base64-secret",
    "url-base64-variable",
    "url-container-name",
    "url-localhost",
    "url-pool-size",
];

struct Judge {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V7);
        compiler.add_resource("stack.json", describe::schema()).expect("a resource");
        let mut schemas = Schemas::new();
        let index = compiler.compile("stack.json", &mut schemas).unwrap_or_else(|e| unreachable!("{e:#}"));
        Self { schemas, index }
    }

    /// `None` if the text is not TOML; else what is wrong, if anything.
    fn judge(&self, text: &str) -> Option<Result<(), String>> {
        let table: toml::Table = text.parse().ok()?;
        let value = serde_json::to_value(table).expect("TOML fits into JSON");
        Some(self.schemas.validate(&value, self.index).map_err(|e| format!("{e:#}")))
    }
}

#[test]
fn right_files_are_accepted() {
    let judge = Judge::new();
    let mut paths = vec![root().join("stack.example.toml")];
    for folder in ["tests/stacks", "templates/init"] {
        paths.extend(fs::read_dir(root().join(folder)).expect("a folder").flatten().map(|e| e.path()));
    }
    assert!(paths.len() >= 8, "{paths:?}");
    for path in paths {
        let text = fs::read_to_string(&path).expect("a file");
        assert_eq!(judge.judge(&text), Some(Ok(())), "{}", path.display());
    }
}

#[test]
fn wrong_files_are_rejected_where_a_schema_can_know() {
    let judge = Judge::new();
    let accepted: Vec<String> =
        wrong::all().into_iter().filter(|w| judge.judge(&w.text) == Some(Ok(()))).map(|w| w.name).collect();
    assert_eq!(accepted, BEYOND, "accepted by the schema, but not right");
    assert!(wrong::all().len() - accepted.len() >= 60, "rejected by the schema");
}

/// A key that is described once is known everywhere: to the schema and to the reference, without another edit.
#[test]
fn every_key_is_in_schema_and_reference() {
    let schema = describe::schema();
    let reference = describe::reference();
    let mut keys = 0;
    let mut tables: Vec<&serde_json::Value> = vec![&schema];
    tables.extend(schema["definitions"].as_object().expect("definitions").values());
    for table in tables {
        for (key, about) in table["properties"].as_object().expect("properties") {
            keys += 1;
            let table = !about["allOf"].is_null() || about["type"] == "object" || about["items"]["allOf"].is_array();
            assert!(about["examples"].is_array() || table, "{key} has no example");
            assert!(about["description"].as_str().is_some_and(|d| !d.is_empty()), "{key} is not described");
            assert!(reference.contains(&format!("| `{key}` |")) || key == "stages", "{key} is not in the reference");
        }
    }
    assert!(keys > 60, "{keys}");
}
