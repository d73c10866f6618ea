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
