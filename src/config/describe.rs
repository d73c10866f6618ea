//! The description of the keys as documents: reference for people, JSON schema for editors.

use serde_json::{Value, json};

use super::decode::Decode as _;
use super::keys::File;
use super::shape::{Key, Shape, Table};

/// JSON schema (draft-07) of stack.toml.
pub fn schema() -> Value {
    let Shape::Table(mut file) = File::shape() else { return Value::Null };
    // A stage has the shape of the file itself, but for its name and further stages.
    let overlay = Table { keys: file.keys.iter().filter(|k| k.name != "name").cloned().collect(), ..file.clone() };
    file.keys.push(Key {
        name: "stages",
        text: "Overlays by stage: what is written here replaces or adds to the file.".to_owned(),
        default: "",
        shape: Shape::Map { key: "stage", value: Box::new(Shape::Table(overlay)) },
    });
    let mut schema = of_table(&file, true);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("stack.toml");
    schema["required"] = json!(["name"]);
    schema
}

fn of_table(table: &Table, top: bool) -> Value {
    let _ = top;
    let keys: serde_json::Map<String, Value> = table
        .keys
        .iter()
        .map(|key| {
            let mut value = of(&key.shape);
            value["description"] = json!(key.text);
            (key.name.to_owned(), value)
        })
        .collect();
    json!({ "type": "object", "additionalProperties": false, "description": table.text, "properties": keys })
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text { pattern: "", .. } => json!({ "type": "string" }),
        Shape::Text { pattern, .. } => json!({ "type": "string", "pattern": pattern }),
        Shape::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List(item) => json!({ "type": "array", "items": of(item) }),
        Shape::Map { value, .. } => json!({ "type": "object", "additionalProperties": of(value) }),
        Shape::Table(table) => of_table(table, false),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}
