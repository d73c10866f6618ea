//! Files out of images that the front door serves: what lies where in its files volume.
//!
//! A folder of an image has a few slots, `assets/<key>.<slot>/`, one for each image whose files are kept, and links
//! beside the front door's flags, in `live/`, that say which are which. What is known of a slot stands there as well, as
//! links that lead nowhere: so one call that reads the flags reads everything, and no second place can say otherwise.

use std::collections::BTreeMap;

use serde::Serialize;

/// Link to the slot of the image that serves.
pub const CURRENT: &str = "current";
/// Link to the slot of the image before that.
pub const BEFORE: &str = "before";
/// Link to the slot that was filled last: the image that is about to serve.
pub const NEXT: &str = "next";
/// Where a link leads that leads nowhere.
pub const NONE: &str = "none";
/// What stands in the place of an image's ID while its files are copied.
pub const COPYING: &str = "copying";

/// What the engine has of one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Assets {
    /// Slot of the image that serves.
    pub current: Option<u8>,
    /// Slot of the image before.
    pub before: Option<u8>,
    /// Slots with files in them.
    pub slots: BTreeMap<u8, Slot>,
}

/// The files of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// ID of the image; `None` if the run that copied them was killed.
    pub image: Option<String>,
    /// One of the files, to ask for: its path below the folder.
    pub sample: Option<String>,
}

/// Name of a link in `live/`.
pub fn link(key: &str, name: &str) -> String {
    format!("{key}.{name}")
}

/// Where a link to a slot leads, seen from `live/`.
pub fn target(key: &str, slot: Option<u8>) -> String {
    slot.map_or_else(|| NONE.to_owned(), |slot| format!("../{}", folder(key, slot)))
}

/// Folder of a slot below the root of the volume.
pub fn folder(key: &str, slot: u8) -> String {
    format!("assets/{key}.{slot}")
}

/// The link that says which image the files of a slot are from.
pub fn image_of(key: &str, slot: u8) -> String {
    format!("live/{key}.{slot}.image")
}

/// The link that names one of the files of a slot.
pub fn sample_of(key: &str, slot: u8) -> String {
    format!("live/{key}.{slot}.sample")
}

/// Reads the links of `live/`, name and target, by folder. Others are passed over.
pub fn read<'a>(links: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> BTreeMap<String, Assets> {
    let mut out: BTreeMap<String, Assets> = BTreeMap::new();
    let parts = |name: &'a str| {
        let (rest, last) = name.rsplit_once('.')?;
        match last {
            "image" | "sample" => {
                let (key, slot) = rest.rsplit_once('.')?;
                Some((key, last, slot.parse::<u8>().ok()))
            }
            CURRENT | BEFORE => Some((rest, last, None)),
            _ => None,
        }
    };
    for (name, target) in links.clone() {
        let Some((key, what, slot)) = parts(name) else { continue };
        let assets = out.entry(key.to_owned()).or_default();
        let leads = || target.strip_prefix("../assets/")?.strip_prefix(key)?.strip_prefix('.')?.parse::<u8>().ok();
        match (what, slot) {
            (CURRENT, _) => assets.current = leads(),
            (BEFORE, _) => assets.before = leads(),
            ("image", Some(slot)) if target != NONE => {
                assets.slots.entry(slot).or_default().image = (target != COPYING).then(|| target.to_owned());
            }
            _ => {}
        }
    }
    for (name, target) in links {
        let Some((key, "sample", Some(slot))) = parts(name) else { continue };
        if let Some(slot) = out.get_mut(key).and_then(|assets| assets.slots.get_mut(&slot)) {
            slot.sample = Some(target.to_owned());
        }
    }
    for assets in out.values_mut() {
        let there = |slot: &u8| assets.slots.get(slot).is_some_and(|slot| slot.image.is_some());
        assets.current = assets.current.filter(there);
        assets.before = assets.before.filter(there);
    }
    out.retain(|_, assets| !assets.slots.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_say_what_is_there() {
        let links = [
            ("app.b", "on"),
            ("app.1a.current", "../assets/app.1a.1"),
            ("app.1a.before", "../assets/app.1a.0"),
            ("app.1a.next", "../assets/app.1a.2"),
            ("app.1a.0.image", "none"),
            ("app.1a.1.image", "sha256:7"),
            ("app.1a.1.sample", "css/app.css"),
            ("app.1a.2.image", "copying"),
            ("web.2b.current", "none"),
            ("web.2b.0.image", "none"),
            ("maintenance", "off"),
        ];
        let seen = read(links.iter().copied());
        let slot = Slot { image: Some("sha256:7".into()), sample: Some("css/app.css".into()) };
        let expected = Assets {
            current: Some(1),
            // It was taken away.
            before: None,
            slots: BTreeMap::from([(1, slot), (2, Slot::default())]),
        };
        assert_eq!(seen, BTreeMap::from([("app.1a".to_owned(), expected)]));
        assert_eq!(target("app.1a", Some(1)), "../assets/app.1a.1");
        assert_eq!(target("app.1a", None), "none");
    }
}
