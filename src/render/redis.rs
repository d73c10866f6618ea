//! Redis: who may log in.

use crate::base::hash;
use crate::base::secret::Secret;
use crate::model::artifact::Artifact;
use crate::model::rotation::{Kept, Names};
use crate::model::secrets::SecretValues;
use crate::model::service::Service;

/// `users.acl` with hashes of all passwords that are let in, and the password that is, for the one who tells the server
/// to read it (redis.io, "ACL"). Nothing where the password has no value.
pub fn redis(service: &Service, values: &SecretValues) -> Vec<Artifact> {
    let Some(kept) = service.password.as_ref().and_then(|n| Kept::of(n, &Names::of(n)?, "", values)) else {
        return Vec::new();
    };
    let mut users = String::from("user default on ~* &* +@all");
    for password in kept.admitted() {
        users.push_str(" #");
        users.push_str(&hash::sha256(password.expose().as_bytes()));
    }
    users.push('\n');
    vec![
        Artifact::secret(
            "password",
            kept.admitted().first().map_or(kept.now.password.clone(), |p| (*p).clone()),
            service.uid,
        ),
        Artifact::secret("users.acl", Secret::new(users), service.uid),
    ]
}
