//! Short forms: a value that stands where a table could, and means the table with that value at one of its keys.

use super::shape::Shape;
use super::tree::{Entry, Node, Value};

/// The keys that the node is the value of, where it stands in a table's place; empty where it does not.
pub fn keys(shape: &Shape, node: &Node) -> &'static [&'static str] {
    let Shape::Either(shapes) = shape else { return &[] };
    let text = node.plain();
    // A word such as `off` is short for nothing.
    let is_word = |shape: &Shape| match shape {
        Shape::Word(words) => text.as_deref().is_some_and(|text| words.contains(&text)),
        _ => false,
    };
    if matches!(node.value, Value::Table(_)) || shapes.iter().any(is_word) {
        return &[];
    }
    let table = shapes.iter().find_map(|shape| match shape {
        Shape::Table(table) if !table.short.is_empty() => Some(table.short),
        _ => None,
    });
    table.unwrap_or_default()
}

/// What stands under a key: of a table, or of what is short for one.
pub fn under<'a>(shape: &Shape, node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Table(_) => node.get(key).map(|entry| &entry.node),
        _ => keys(shape, node).contains(&key).then_some(node),
    }
}

/// Writes the table out that a node is short for; any other stays as it is.
pub fn write_out(shape: &Shape, node: &mut Node) {
    let keys = keys(shape, node);
    if keys.is_empty() {
        return;
    }
    let entry = |key: &&str| Entry { key: (*key).to_owned(), key_span: node.span.clone(), node: node.clone() };
    node.value = Value::Table(keys.iter().map(entry).collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::Problems;
    use crate::config::decode::Decode;
    use crate::config::keys::{File, cors::CorsKey, limit::LimitKey, runtime::UlimitKey, service::BuildKey};
    use crate::config::{print, tree};

    fn written_out<T: Decode>(text: &str) -> String {
        let mut problems = Problems::default();
        let mut root = tree::parse(&format!("x = {text}"), &mut problems);
        let Some(mut entry) = root.take("x") else { unreachable!("{text}") };
        write_out(&T::shape(), &mut entry.node);
        assert!(T::decode(&entry.node, &mut problems).is_some(), "{text}: {problems:?}");
        print::value(&entry.node.value)
    }

    #[test]
    fn a_short_form_is_a_table() {
        assert_eq!(written_out::<BuildKey>(r#"".""#), r#"{ context = "." }"#);
        assert_eq!(written_out::<LimitKey>(r#""5/hour""#), r#"{ quota = "5/hour" }"#);
        assert_eq!(written_out::<LimitKey>(r#""off""#), r#""off""#);
        assert_eq!(written_out::<CorsKey>(r#"["*"]"#), r#"{ origins = ["*"] }"#);
        assert_eq!(written_out::<UlimitKey>("7"), "{ soft = 7, hard = 7 }");
        assert_eq!(written_out::<BuildKey>(r#"{ target = "x" }"#), r#"{ target = "x" }"#);
    }

    /// Every shape that takes a table or something else says what that is short for, or is one of those where it is not.
    #[test]
    fn short_forms_are_declared() {
        fn walk(shape: &Shape, out: &mut Vec<&'static str>) {
            match shape {
                Shape::Table(table) => table.keys.iter().for_each(|key| walk(&key.shape, out)),
                Shape::Map { value, .. } => walk(value, out),
                Shape::List(item) => walk(item, out),
                Shape::Either(shapes) => {
                    for shape in shapes {
                        if let Shape::Table(table) = shape {
                            assert!(table.short.iter().all(|key| table.keys.iter().any(|k| k.name == *key)));
                            out.extend(table.short.is_empty().then_some(table.name));
                        }
                        walk(shape, out);
                    }
                }
                _ => {}
            }
        }
        let mut without = Vec::new();
        walk(&File::shape(), &mut without);
        assert_eq!(without, ["tls"], "its words are no values of its keys");
    }
}
