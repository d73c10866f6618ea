//! Which image each tag meant on the day somebody looked: what `stack.lock` holds.

use std::collections::{BTreeMap, BTreeSet};

use super::service::{Image, PullPolicy};
use super::stack::Stack;

/// Images by the reference that stack.toml (or a preset) names, before any mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Reference to digest, `sha256:` and 64 hexadecimal digits.
    pub images: BTreeMap<String, String>,
}

/// A difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Reference.
    pub image: String,
    /// Its digest before; `None` if it had none.
    pub from: Option<String>,
    /// Its digest now; `None` if it has none.
    pub to: Option<String>,
}

impl Lock {
    /// What is different in another lock, by reference.
    pub fn changes_to(&self, other: &Self) -> Vec<Change> {
        let names: BTreeSet<&String> = self.images.keys().chain(other.images.keys()).collect();
        let change = |image: &String| Change {
            image: image.clone(),
            from: self.images.get(image).cloned(),
            to: other.images.get(image).cloned(),
        };
        names.into_iter().map(change).filter(|c| c.from != c.to).collect()
    }
}

/// References of a stack that a registry can give another meaning: not what is built here, not what is named by its
/// digest. With the services that run each of them; `proxy` for the front door.
pub fn lockable(stack: &Stack) -> BTreeMap<String, BTreeSet<String>> {
    let pulled = stack.services.values().filter_map(|service| match &service.image {
        // No registry knows what is sent from here.
        Image::Pull(reference) if service.pull != PullPolicy::Send => Some((reference, service.name.as_str())),
        Image::Pull(_) | Image::Build(_) => None,
    });
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (reference, service) in pulled.chain(stack.proxy.iter().map(|p| (&p.image, "proxy"))) {
        if !reference.contains('@') {
            out.entry(reference.clone()).or_default().insert(service.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let lock = |pairs: &[(&str, &str)]| Lock {
            images: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let changes =
            lock(&[("a", "1"), ("b", "1"), ("c", "1")]).changes_to(&lock(&[("b", "2"), ("c", "1"), ("d", "1")]));
        let seen: Vec<_> = changes.iter().map(|c| (c.image.as_str(), c.from.as_deref(), c.to.as_deref())).collect();
        assert_eq!(seen, [("a", Some("1"), None), ("b", Some("1"), Some("2")), ("d", None, Some("1"))]);
    }
}
