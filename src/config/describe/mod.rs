//! The description of the keys as documents: a reference for people, a JSON schema for editors. Both come from the
//! shapes the decoder goes by, so they cannot say anything else than it does.

mod examples;
mod paths;
mod reference;
mod schema;

pub use paths::paths;
pub use reference::reference;
pub use schema::schema;

use super::decode::Decode as _;
use super::keys::File;
use super::shape::{Key, Shape, Table};

/// The whole file.
pub(super) fn file_shape() -> Shape {
    Shape::Table(file())
}

/// The file's own table, with the overlays that are taken out before anything is decoded.
fn file() -> Table {
    let Shape::Table(mut file) = File::shape() else { unreachable!("a file is a table") };
    let stage = Table {
        name: "a stage",
        text:
            "What is different in one stage. Everything but `name` can stand here; tables are laid over those of the \
               file key by key, everything else is replaced."
                .to_owned(),
        keys: file.keys.iter().filter(|k| k.name != "name").cloned().collect(),
        short: &[],
    };
    file.keys.push(Key {
        name: "stages",
        text: "What is different elsewhere, by stage: asked for with `--stage NAME`.".to_owned(),
        default: "",
        example: "",
        shape: Shape::Map { key: "stage", value: Box::new(Shape::Table(stage)) },
    });
    file
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro declares tables that the whole crate has")]
mod tests {
    use super::*;
    use crate::base::problem::Problems;
    use crate::base::units::Span;
    use crate::config::decode::table;
    use crate::config::tree::parse;

    table! {
        /// A table that only this test has.
        Trial as "a trial" {
            /// How long it waits.
            patience: Span = "\"5s\"" => r#""9s""#,
        }
    }

    /// Its one declaration above is all that decoder, reference, schema and completions need.
    #[test]
    fn a_key_is_declared_once() {
        let decoded = |text: &str| {
            let mut problems = Problems::default();
            let trial = Trial::decode(&parse(text, &mut problems), &mut problems);
            (trial.and_then(|t| t.patience).map(|at| at.value), problems.sorted())
        };
        assert_eq!(decoded("patience = \"9s\""), (Some(Span::seconds(9)), Vec::new()));
        let (_, problems) = decoded("patiense = \"9s\"");
        assert_eq!(problems.iter().map(|p| p.fix.as_deref()).collect::<Vec<_>>(), [Some("patience")]);

        let Shape::Table(table) = Trial::shape() else { unreachable!("a table") };
        let mut page = String::new();
        reference::section(&mut page, &table, &["trials.NAME"]);
        assert!(page.starts_with("## `trials.NAME`\n\nA table that only this test has."), "{page}");
        let row = "| `patience` | a duration such as \"30s\" | `\"5s\"` | How long it waits. `patience = \"9s\"` |";
        assert!(page.contains(row), "{page}");

        let schema = schema::table(&table, &mut serde_json::Map::new());
        let key = &schema["properties"]["patience"];
        assert_eq!(
            (&key["type"], &key["default"], &key["examples"][0]),
            (&"string".into(), &"5s".into(), &"9s".into())
        );
        assert_eq!(key["description"], "How long it waits.");
        assert_eq!(schema["additionalProperties"], false);

        let mut known = Vec::new();
        paths::walk(&Trial::shape(), Some(&parse("", &mut Problems::default())), "trials.first", &mut known);
        assert_eq!(known, ["trials.first.patience"]);
    }
}
