//! L3: an authority that speaks ACME (RFC 8555), asked for certificates. Answers to its questions are put in place by
//! whoever asks: the authority looks at the front door, or at the DNS.

mod error;
pub mod http;

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rustls_pki_types::Der;

use crate::base::base64;
use crate::base::secret::Secret;

pub use error::AcmeError;

/// How long an authority may take to look at answers, and to make a certificate. Let's Encrypt takes seconds.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Authority<'a> {
    /// URL of its directory.
    pub directory: &'a str,
    /// PEM certificates that the directory's own may be signed by, beside the public ones.
    pub trust: Option<&'a str>,
    /// Where it may write to.
    pub email: Option<&'a str>,
    /// ID and key (base64, as it was given) of an account that there is elsewhere.
    pub external: Option<(&'a str, &'a Secret)>,
}

/// How the authority is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A file of the site, asked for at port 80 (HTTP-01).
    Http,
    /// A TXT record (DNS-01).
    Dns,
}

/// What the authority wants to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name it asks about, without wildcard.
    pub name: String,
    /// File below `/.well-known/acme-challenge/`.
    pub token: String,
    /// What the file holds.
    pub content: String,
    /// Value of the TXT record `_acme-challenge.NAME`.
    pub record: String,
}

/// Somebody with an account.
pub struct Client {
    account: Account,
    directory: String,
}

/// A certificate on its way.
pub struct Order {
    inner: instant_acme::Order,
    challenge: ChallengeType,
    names: Vec<String>,
    directory: String,
}

impl Client {
    /// Opens the account that is kept, or a new one; what is to be kept then comes along.
    ///
    /// # Errors
    /// The authority's, and those of the way to it.
    pub async fn open(authority: &Authority<'_>, kept: Option<&Secret>) -> Result<(Self, Option<Secret>), AcmeError> {
        let directory = authority.directory.to_owned();
        let told = |error| AcmeError::of(&error, &directory);
        let http = || http::client(authority.trust).map(Account::builder_with_http);
        if let Some(credentials) = kept.and_then(|k| serde_json::from_str(k.expose()).ok()) {
            let account = http()?.from_credentials(credentials).await.map_err(told)?;
            return Ok((Self { account, directory }, None));
        }
        let contact = authority.email.map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = match authority.external {
            Some((kid, key)) => Some(ExternalAccountKey::new(kid.to_owned(), &decoded(key)?)),
            None => None,
        };
        let made = http()?.create(&new, directory.clone(), external.as_ref()).await;
        let (account, credentials) = made.map_err(told)?;
        let credentials = serde_json::to_string(&credentials).unwrap_or_default();
        Ok((Self { account, directory }, Some(Secret::new(credentials))))
    }

    /// Whether the authority still knows the account: its contacts are set to what they are.
    ///
    /// # Errors
    /// The authority's; [`AcmeError::account_gone`] where it does not.
    pub async fn is_known(&self, email: Option<&str>) -> Result<(), AcmeError> {
        let contact = email.map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        self.account.update_contacts(&contact).await.map_err(|error| AcmeError::of(&error, &self.directory))
    }

    /// When the authority would like a certificate to be renewed (RFC 9773): from, until. `None` where it does not say.
    pub async fn window(&self, identifier: &(Vec<u8>, Vec<u8>)) -> Option<(u64, u64)> {
        let (info, _) = self.account.renewal_info(&named(identifier)).await.ok()?;
        let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
        let window = info.suggested_window;
        Some((seconds(window.start.unix_timestamp()), seconds(window.end.unix_timestamp())))
    }

    /// Orders a certificate. `replaces` is the one it takes the place of, by its identifier.
    ///
    /// # Errors
    /// The authority's.
    pub async fn order(
        &self,
        names: &[String],
        challenge: Challenge,
        replaces: Option<&(Vec<u8>, Vec<u8>)>,
    ) -> Result<Order, AcmeError> {
        let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let plain = NewOrder::new(&identifiers);
        let order = match replaces {
            // One that the authority does not know, or that was replaced already, is no reason to go without.
            Some(old) => match self.account.new_order(&NewOrder::new(&identifiers).replaces(named(old))).await {
                Ok(order) => Ok(order),
                Err(_) => self.account.new_order(&plain).await,
            },
            None => self.account.new_order(&plain).await,
        };
        let challenge = match challenge {
            Challenge::Http => ChallengeType::Http01,
            Challenge::Dns => ChallengeType::Dns01,
        };
        let order = order.map_err(|error| AcmeError::of(&error, &self.directory))?;
        Ok(Order { inner: order, challenge, names: names.to_vec(), directory: self.directory.clone() })
    }
}

impl Order {
    /// What has to be found before the authority looks; nothing for names it believes already.
    ///
    /// # Errors
    /// The authority's, and one that does not ask in this way.
    pub async fn answers(&mut self) -> Result<Vec<Answer>, AcmeError> {
        let mut out = Vec::new();
        let (challenge, directory) = (self.challenge.clone(), self.directory.clone());
        let mut all = self.inner.authorizations();
        while let Some(next) = all.next().await {
            let mut one = next.map_err(|error| AcmeError::of(&error, &directory))?;
            match one.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(AcmeError::said(&directory, &format!("an authorization is {other:?} already"))),
            }
            let name = one.identifier().to_string();
            let Some(asked) = one.challenge(challenge.clone()) else {
                return Err(AcmeError::unasked(&directory, &name, challenge == ChallengeType::Dns01));
            };
            let key = asked.key_authorization();
            out.push(Answer {
                name: name.trim_start_matches("*.").to_owned(),
                token: asked.token.clone(),
                content: key.as_str().to_owned(),
                record: key.dns_value(),
            });
        }
        Ok(out)
    }

    /// Says that the answers are in place, and waits until the authority has looked.
    ///
    /// # Errors
    /// What it found instead, name by name.
    pub async fn look(&mut self) -> Result<(), AcmeError> {
        let directory = self.directory.clone();
        let told = |error| AcmeError::of(&error, &directory);
        let challenge = self.challenge.clone();
        let mut all = self.inner.authorizations();
        while let Some(next) = all.next().await {
            let mut one = next.map_err(told)?;
            if one.status == AuthorizationStatus::Pending
                && let Some(mut asked) = one.challenge(challenge.clone())
            {
                asked.set_ready().await.map_err(told)?;
            }
        }
        match self.inner.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(_) => Err(self.refusals(None).await),
            Err(error) => Err(self.refusals(Some(error)).await),
        }
    }

    /// Why an order did not come through: the authority says it of each name.
    async fn refusals(&mut self, error: Option<instant_acme::Error>) -> AcmeError {
        let mut found = Vec::new();
        let mut all = self.inner.authorizations();
        while let Some(next) = all.next().await {
            let Ok(mut one) = next else { continue };
            if one.refresh().await.is_err() {
                continue;
            }
            let name = one.identifier().to_string();
            found.extend(one.challenges.iter().filter_map(|c| c.error.clone()).map(|problem| (name.clone(), problem)));
        }
        match error {
            _ if !found.is_empty() => AcmeError::refused(&self.directory, &found),
            Some(error) => AcmeError::of(&error, &self.directory),
            None => AcmeError::said(&self.directory, "it refused the order and does not say why"),
        }
    }

    /// Fetches the certificate, for a key made here: chain and key, both PEM. ECDSA P-256.
    ///
    /// # Errors
    /// The authority's.
    pub async fn finish(&mut self) -> Result<(String, Secret), AcmeError> {
        let directory = self.directory.clone();
        let own = |error: rcgen::Error| AcmeError::said("this machine", &format!("no key could be made: {error}"));
        let mut params = rcgen::CertificateParams::new(self.names.clone()).map_err(own)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let key = rcgen::KeyPair::generate().map_err(own)?;
        let request = params.serialize_request(&key).map_err(own)?;
        let told = |error| AcmeError::of(&error, &directory);
        self.inner.finalize_csr(request.der()).await.map_err(told)?;
        let chain = self.inner.poll_certificate(&PATIENCE).await.map_err(told)?;
        Ok((chain, Secret::new(key.serialize_pem())))
    }
}

fn named((authority, serial): &(Vec<u8>, Vec<u8>)) -> CertificateIdentifier<'static> {
    CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(serial)).into_owned()
}

/// A key as authorities hand it out: base64 for URLs, mostly without padding; some with the usual alphabet.
fn decoded(key: &Secret) -> Result<Vec<u8>, AcmeError> {
    base64::decoded(key.expose().trim())
        .ok_or_else(|| AcmeError::said("stack.toml", "the secret of `eab_key` is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_handed_out() {
        for (text, bytes) in [("Zm9vYmE", &b"fooba"[..]), ("/+8=\n", &[0xff, 0xef])] {
            assert_eq!(decoded(&Secret::new(text)).ok().as_deref(), Some(bytes), "{text}");
        }
        assert!(decoded(&Secret::new("a b")).is_err());
    }
}
