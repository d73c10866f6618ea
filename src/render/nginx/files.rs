//! Files out of images, which Nginx serves itself.

use serde::Serialize;

use crate::model::assets;
use crate::model::proxy::{Folder, Route};

use super::{LIVE, Place, ProxyInput};

/// What a file is, by the end of its name; an unknown one is only bytes. Our own list: the one that comes with Nginx
/// grew from version to version.
pub(super) const TYPES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/nginx/types.conf"));

/// What the main template sees of a location with files.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Files {
    /// Folder that all of them are below.
    root: String,
    /// Pattern of a path of the location; its only group is the path below the folder. Nothing of it is from the user.
    below: String,
    /// Folders below `root` to look into, one after the other.
    places: Vec<String>,
    cache: String,
}

/// The files of a route; `None` on a host where their service does not run.
pub(super) fn of(input: &ProxyInput<'_>, route: &Route, folder: &Folder) -> Option<Files> {
    // `alias` would take the route's path away as well, but not together with `try_files`.
    let below = format!("(?s)^.{{{}}}(/.*)$", route.path.trim_end_matches('/').len());
    let (root, places) = match input.place {
        Place::Container => {
            let key = folder.key();
            // The live one first; then the one that is about to be, whose pages may be asked for already; then the
            // one before, whose pages are still open.
            let places =
                [assets::CURRENT, assets::NEXT, assets::BEFORE].map(|name| format!("/{}", assets::link(&key, name)));
            (LIVE.to_owned(), places.to_vec())
        }
        Place::Host => (on_host(input, folder)?, vec![String::new()]),
    };
    Some(Files { root, below, places, cache: folder.cache_control() })
}

/// Where the folder is on a host without containers: what the image has in the program's folder is in the one that
/// `native` names. The program's folder is `working_dir`, or else the first part of the path (`/app`).
pub(in crate::render) fn on_host(input: &ProxyInput<'_>, folder: &Folder) -> Option<String> {
    let service = input.stack.services.get(&folder.service)?;
    let native = service.native.as_ref()?;
    let home = service.runtime.working_dir.as_deref().map(|home| home.trim_end_matches('/'));
    let inside =
        home.and_then(|home| folder.path.strip_prefix(home)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let inside = inside.unwrap_or_else(|| folder.path[1..].find('/').map_or("", |at| &folder.path[at + 1..]));
    Some(format!("{}{inside}", native.folder.trim_end_matches('/')))
}
