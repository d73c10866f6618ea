//! PostgreSQL's part: roles and their passwords, by `psql` in its container.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::apply::error::ApplyError;
use crate::apply::secrets::made;
use crate::base::scram;
use crate::base::secret::Secret;
use crate::model::secrets::{Recipe, SecretValues};

use super::{Work, failed, owner};

/// How long users of the old credential may take to go, after all of them were replaced.
const PATIENCE: Duration = Duration::from_secs(30);

impl Work<'_> {
    /// Lets the new password in, beside the old one.
    pub(super) async fn admit(&self, next: &Secret) -> Result<(), ApplyError> {
        let (owner, _) = owner(self.service);
        let login = self.login_of_next();
        let salt = made(&Recipe::UrlSafe(16), &SecretValues::new()).map_err(failed)?;
        let salt: [u8; 16] = salt.expose().as_bytes().try_into().map_err(|_| failed("there are no random numbers"))?;
        // Not the password: what the server makes of it, which opens nothing.
        let verifier = scram::verifier(next.expose(), &salt);
        let mut sql = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {0}) THEN CREATE ROLE {1}; END IF; END $$; \
             ALTER ROLE {1} LOGIN PASSWORD {2};",
            text(&login),
            word(&login),
            text(&verifier)
        );
        if login != owner {
            let _ = write!(sql, " GRANT {0} TO {1}; ALTER ROLE {1} SET role = {0};", word(owner), word(&login));
        }
        self.sql(&sql).await.map(drop)
    }

    /// Refuses the role from now on, and ends its sessions.
    pub(super) async fn revoke(&self, login: &str) -> Result<(), ApplyError> {
        let (owner, _) = owner(self.service);
        let how = if login == owner { "PASSWORD NULL" } else { "NOLOGIN PASSWORD NULL" };
        let sql = format!(
            "ALTER ROLE {} {how}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {};",
            word(login),
            sessions_of(login)
        );
        self.sql(&sql).await.map(drop)
    }

    /// Waits until nobody is logged in as this role over the network; those who stay are ended afterwards.
    pub(super) async fn until_unused(&self, login: &str) -> Result<(), ApplyError> {
        let began = Instant::now();
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {}", sessions_of(login));
        while self.sql(&count).await?.trim() != "0" && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn sql(&self, sql: &str) -> Result<String, ApplyError> {
        let (user, database) = owner(self.service);
        let words =
            ["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database, "-c", sql];
        let (code, said) = self.engine.exec(&self.container, &words.map(str::to_owned)).await?;
        if code == 0 { Ok(said) } else { Err(failed(format!("psql in {} said: {}", self.container, said.trim()))) }
    }
}

/// The role that takes turns with the owner. Names of roles have at most 63 bytes.
pub(super) fn second(owner: &str) -> String {
    let cut = (0..=owner.len().min(61)).rev().find(|at| owner.is_char_boundary(*at)).unwrap_or(0);
    format!("{}_b", &owner[..cut])
}

fn sessions_of(login: &str) -> String {
    format!("usename = {} AND client_addr IS NOT NULL AND pid <> pg_backend_pid()", text(login))
}

/// A name in SQL.
fn word(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL (`standard_conforming_strings` is on).
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_what_they_are() {
        assert_eq!(word("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(second("app"), "app_b");
        assert_eq!(second(&"x".repeat(63)).len(), 63);
    }
}
