//! JSON schema (draft-07, which editors know best) of stack.toml.

use serde_json::{Map, Value, json};

use crate::config::decode::Decode as _;
use crate::config::shape::{Shape, Table};
use crate::config::values::{Scalar, Templated};

/// The schema.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = table(&super::file(), &mut definitions);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("stack.toml");
    schema["required"] = json!(["name", "services"]);
    schema["definitions"] = Value::Object(definitions);
    schema
}

/// One table. Those in it go into the definitions.
pub(super) fn table(table: &Table, definitions: &mut Map<String, Value>) -> Value {
    let mut keys = Map::new();
    for key in &table.keys {
        let mut value = shape(&key.shape, definitions);
        value["description"] = json!(key.text);
        if !key.default.is_empty() {
            let default = toml_value(key.default);
            value["default"] = default;
        }
        if !key.example.is_empty() {
            value["examples"] = json!([example(key.example)]);
        }
        keys.insert(key.name.to_owned(), value);
    }
    json!({ "type": "object", "additionalProperties": false, "description": table.text, "properties": keys })
}

fn shape(of: &Shape, definitions: &mut Map<String, Value>) -> Value {
    if [Templated::shape(), Scalar::shape()].contains(of) {
        // Numbers and booleans are taken as they are written.
        return json!({ "type": ["string", "integer", "boolean"] });
    }
    match of {
        Shape::Text { pattern: "", .. } => json!({ "type": "string" }),
        // Any string may be, or hold, a variable of the environment.
        Shape::Text { pattern, .. } => json!({ "type": "string", "pattern": format!("{pattern}|\\$\\{{") }),
        Shape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Figure => json!({ "type": "number" }),
        Shape::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List(item) => json!({ "type": "array", "items": shape(item, definitions) }),
        Shape::Map { value, .. } => json!({ "type": "object", "additionalProperties": shape(value, definitions) }),
        Shape::Table(inner) => {
            // It becomes part of a URI.
            let name = inner.name.trim_start_matches("an ").trim_start_matches("a ").replace(' ', "-");
            if !definitions.contains_key(&name) {
                let value = table(inner, definitions);
                definitions.insert(name.clone(), value);
            }
            // In draft-07 nothing beside a `$ref` counts; the description that is added to it needs `allOf`.
            json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] })
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|s| shape(s, definitions)).collect();
            json!({ "anyOf": any })
        }
    }
}

/// An example, written as TOML, as JSON.
fn example(text: &str) -> Value {
    let table: Option<toml::Table> = format!("x = {text}").parse().ok();
    table.and_then(|table| serde_json::to_value(table.get("x")?).ok()).unwrap_or_else(|| json!(text))
}

/// A default, written as TOML, as JSON. Defaults are strings, numbers, booleans and lists of these: the same in both.
fn toml_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_somewhere_and_defaults_are_values() {
        fn walk(value: &Value, definitions: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                        let name = name.trim_start_matches("#/definitions/");
                        assert!(definitions.get(name).is_some(), "{name}");
                    }
                    let number = matches!(map.get("type").and_then(Value::as_str), Some("integer" | "boolean"));
                    assert!(!(number && map.get("default").is_some_and(Value::is_string)), "{map:?}");
                    map.values().for_each(|v| walk(v, definitions));
                }
                Value::Array(items) => items.iter().for_each(|v| walk(v, definitions)),
                _ => {}
            }
        }
        let schema = schema();
        walk(&schema, &schema["definitions"]);
        assert_eq!(schema["properties"]["pool"]["default"], "10.83.0.0/16");
        assert!(schema["definitions"]["service"]["properties"]["replicas"].is_object());
    }
}
