//! Paths of keys, for completions: those of the file, and those that could be in its tables.

use crate::config::decode::Decode as _;
use crate::config::keys::File;
use crate::config::shape::Shape;
use crate::config::short;
use crate::config::tree::{Node, Value};

/// Every path that `explain` could be asked for: the keys of all tables that are there, written or not.
pub fn paths(root: &Node) -> Vec<String> {
    let mut out = Vec::new();
    walk(&File::shape(), Some(root), "", &mut out);
    out.sort();
    out.dedup();
    out
}

/// The paths below one, of what the shape allows and what is there.
pub(super) fn walk(shape: &Shape, node: Option<&Node>, path: &str, out: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match shape {
        Shape::Table(table) => {
            for key in &table.keys {
                let path = below(key.name);
                if let Some(entry) = node.and_then(|n| n.get(key.name)) {
                    walk(&key.shape, Some(&entry.node), &path, out);
                }
                out.push(path);
            }
        }
        Shape::Map { value, .. } => {
            let entries = node.map(|n| &n.value);
            let Some(Value::Table(entries)) = entries else { return };
            for entry in entries {
                let path = below(&entry.key);
                walk(value, Some(&entry.node), &path, out);
                out.push(path);
            }
        }
        Shape::Either(shapes) => {
            let Some(there) = node else { return };
            // What is short for a table has its keys.
            let table = matches!(there.value, Value::Table(_)) || !short::keys(shape, there).is_empty();
            for shape in shapes.iter().filter(|_| table) {
                walk(shape, node, path, out);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::Problems;
    use crate::config::keys::service::ServiceKeys;
    use crate::config::tree;

    #[test]
    fn every_key_that_is_described_is_a_path() {
        let text = "[services.app]\nimage = \"a\"\nhealthcheck = { path = \"/\" }\n[routes]\n\"/\" = \"app\"\n\
            \"/x\" = { service = \"app\" }\n";
        let all = paths(&tree::parse(text, &mut Problems::default()));
        let Shape::Table(service) = ServiceKeys::shape() else { unreachable!("a table") };
        let Shape::Table(file) = File::shape() else { unreachable!("a table") };
        for key in &service.keys {
            assert!(all.contains(&format!("services.app.{}", key.name)), "{}", key.name);
        }
        for key in &file.keys {
            assert!(all.contains(&key.name.to_owned()), "{}", key.name);
        }
        for path in
            ["services.app", "services.app.healthcheck.retries", "routes./", "routes./.timeout", "routes./x.timeout"]
        {
            assert!(all.contains(&path.to_owned()), "{path}");
        }
        for path in ["services.app.deploy.watch", "services.app.build.target", "services.worker.image", "proxy.hsts"] {
            assert!(!all.contains(&path.to_owned()), "{path}: its table is not there");
        }
    }
}
