//! The description of the file's keys: what the decoder accepts, and what the docs, the JSON schema and completions
//! are made from. There is no other list of keys.

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A string; what it means, in words, and a regular expression for the schema.
    Text {
        /// In words, for error messages and docs.
        what: &'static str,
        /// ECMA 262 pattern for the schema; empty for any text.
        pattern: &'static str,
    },
    /// A whole number within bounds.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number above 0.
    Number,
    /// Any number.
    Figure,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list.
    List(Box<Shape>),
    /// A table with names chosen by the user.
    Map {
        /// What the names are.
        key: &'static str,
        /// What the values are.
        value: Box<Shape>,
    },
    /// A table with keys of ours.
    Table(Table),
    /// Any of these.
    Either(Vec<Shape>),
}

/// A table with keys of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it describes, in a word or two.
    pub name: &'static str,
    /// What it is for.
    pub text: String,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Keys that all have the value that stands in the table's place: a route that is nothing but the name of a service
    /// is one with that `service`. Empty where only a table will do.
    pub short: &'static [&'static str],
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it does, with units and ranges.
    pub text: String,
    /// Its default as it would be written; empty for none.
    pub default: &'static str,
    /// A value somebody might give it, as it would be written; empty only for tables, which have examples of their own.
    pub example: &'static str,
    /// What it may be.
    pub shape: Shape,
}

impl Shape {
    /// In words: "a string", "a whole number from 1 to 64".
    pub fn words(&self) -> String {
        match self {
            Self::Text { what, .. } => (*what).to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number => "a number above 0".to_owned(),
            Self::Figure => "a number".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Word(words) => crate::base::suggest::one_of(words.iter().copied()),
            Self::List(item) => match item.as_ref() {
                Self::Text { what, .. } => match what.strip_prefix("the name of a ") {
                    Some(noun) => format!("a list of names of {noun}s"),
                    None if what.contains(' ') => format!("a list, each {what}"),
                    None => format!("a list of {}s", what.trim_start_matches("a ")),
                },
                other => format!("a list, each {}", other.words()),
            },
            Self::Map { key, value } => format!("a table of `{} = …`, each {}", key.to_uppercase(), value.words()),
            Self::Table(table) => format!("a table ({})", table.name),
            Self::Either(shapes) => {
                let words: Vec<String> = shapes.iter().map(Self::words).collect();
                words.join(", or ")
            }
        }
    }

    /// The tables below this shape, each with the path that leads to it.
    pub fn tables(&self, path: &str, out: &mut Vec<(String, Table)>) {
        match self {
            Self::Table(table) => {
                out.push((path.to_owned(), table.clone()));
                for key in &table.keys {
                    let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
                    key.shape.tables(&path, out);
                }
            }
            Self::Map { key, value } => value.tables(&format!("{path}.{}", key.to_uppercase()), out),
            Self::List(item) => item.tables(path, out),
            Self::Either(shapes) => shapes.iter().for_each(|s| s.tables(path, out)),
            Self::Text { .. } | Self::Integer { .. } | Self::Number | Self::Figure | Self::Boolean | Self::Word(_) => {}
        }
    }
}
