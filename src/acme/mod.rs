//! L3: an authority that speaks ACME (RFC 8555), asked for certificates. Answers to its questions are put in place by
//! whoever asks: the authority looks at the front door, or at the DNS.

mod error;
pub mod http;

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, Der};

use crate::base::base64;
use crate::base::secret::Secret;

pub use error::AcmeError;
use http::Heard;

/// How long an authority may take to look at answers, and to make a certificate. Let's Encrypt takes seconds.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// How often a certificate is fetched that was cut off on its way: asking for another one would count.
const FETCHES: usize = 3;

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
    told: Told,
}

/// Turns what an authority says into errors.
#[derive(Clone)]
struct Told {
    directory: String,
    heard: Arc<Heard>,
}

impl Told {
    fn by(&self, error: &instant_acme::Error) -> AcmeError {
        AcmeError::of(error, &self.directory).waits(self.heard.wait())
    }
}

/// A certificate on its way.
pub struct Order {
    inner: instant_acme::Order,
    challenge: ChallengeType,
    names: Vec<String>,
    told: Told,
}

impl Client {
    /// Opens the account that is kept, or a new one; what is to be kept then comes along.
    ///
    /// # Errors
    /// The authority's, and those of the way to it.
    pub async fn open(authority: &Authority<'_>, kept: Option<&Secret>) -> Result<(Self, Option<Secret>), AcmeError> {
        let (http, heard) = http::client(authority.trust)?;
        let told = Told { directory: authority.directory.to_owned(), heard };
        let builder = Account::builder_with_http(http);
        if let Some(credentials) = kept.and_then(|k| serde_json::from_str(k.expose()).ok()) {
            let account = builder.from_credentials(credentials).await.map_err(|error| told.by(&error))?;
            return Ok((Self { account, told }, None));
        }
        let contact = authority.email.map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = match authority.external {
            Some((kid, key)) => Some(ExternalAccountKey::new(kid.to_owned(), &decoded(key)?)),
            None => None,
        };
        let made = builder.create(&new, told.directory.clone(), external.as_ref()).await;
        let (account, credentials) = made.map_err(|error| {
            let refused = matches!(&error, instant_acme::Error::Api(p) if p.r#type.is_some());
            let error = told.by(&error);
            // Whatever is wrong with the binding, authorities call it many things.
            if external.is_some() && refused && error.wait.is_none() { error.not_bound() } else { error }
        })?;
        let credentials = serde_json::to_string(&credentials).unwrap_or_default();
        Ok((Self { account, told }, Some(Secret::new(credentials))))
    }

    /// What time it is where the authority is, seconds since 1970, as of its latest answer.
    pub fn their_time(&self) -> Option<u64> {
        self.told.heard.date()
    }

    /// Whether the authority still knows the account: its contacts are set to what they are.
    ///
    /// # Errors
    /// The authority's; [`AcmeError::account_gone`] where it does not.
    pub async fn is_known(&self, email: Option<&str>) -> Result<(), AcmeError> {
        let contact = email.map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        self.account.update_contacts(&contact).await.map_err(|error| {
            // One that was deactivated is refused (RFC 8555 §7.3.6): it is gone, too.
            let closed = matches!(&error, instant_acme::Error::Api(p)
                if p.r#type.as_deref().is_some_and(|t| t.ends_with(":unauthorized")));
            let error = self.told.by(&error);
            AcmeError { account_gone: error.account_gone || closed, ..error }
        })
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
        let order = order.map_err(|error| self.told.by(&error))?;
        Ok(Order { inner: order, challenge, names: names.to_vec(), told: self.told.clone() })
    }
}

impl Order {
    /// What has to be found before the authority looks; nothing for names it believes already.
    ///
    /// # Errors
    /// The authority's, and one that does not ask in this way.
    pub async fn answers(&mut self) -> Result<Vec<Answer>, AcmeError> {
        let mut out = Vec::new();
        let (challenge, told) = (self.challenge.clone(), self.told.clone());
        let mut all = self.inner.authorizations();
        while let Some(next) = all.next().await {
            let mut one = next.map_err(|error| told.by(&error))?;
            match one.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => {
                    return Err(AcmeError::said(&told.directory, &format!("an authorization is {other:?} already")));
                }
            }
            let name = one.identifier().to_string();
            let Some(asked) = one.challenge(challenge.clone()) else {
                return Err(AcmeError::unasked(&told.directory, &name, challenge == ChallengeType::Dns01));
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
        let all_told = self.told.clone();
        let told = |error| all_told.by(&error);
        let challenge = self.challenge.clone();
        let mut all = self.inner.authorizations();
        let mut at_once = None;
        while let Some(next) = all.next().await {
            let mut one = next.map_err(told)?;
            if one.status == AuthorizationStatus::Pending
                && let Some(mut asked) = one.challenge(challenge.clone())
            {
                match asked.set_ready().await {
                    Ok(()) => {}
                    // One that looks at once says here what it found, and of which name only there.
                    Err(error @ instant_acme::Error::Api(_)) => at_once = Some(error),
                    Err(error) => return Err(told(error)),
                }
            }
        }
        if let Some(error) = at_once {
            return Err(self.refusals(Some(error)).await);
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
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        match error {
            _ if !found.is_empty() => AcmeError::refused(&self.told.directory, &found),
            Some(error) => self.told.by(&error),
            None => AcmeError {
                hint: Some("run `stackctl cert issue`: that begins a new order".to_owned()),
                ..AcmeError::said(&self.told.directory, "it refused the order and does not say why")
            },
        }
    }

    /// Fetches the certificate, for a key made here: chain and key, both PEM. ECDSA P-256.
    ///
    /// # Errors
    /// The authority's.
    pub async fn finish(&mut self) -> Result<(String, Secret), AcmeError> {
        let own = |error: rcgen::Error| AcmeError::said("this machine", &format!("no key could be made: {error}"));
        let mut params = rcgen::CertificateParams::new(self.names.clone()).map_err(own)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        let key = rcgen::KeyPair::generate().map_err(own)?;
        let request = params.serialize_request(&key).map_err(own)?;
        let told = self.told.clone();
        self.inner.finalize_csr(request.der()).await.map_err(|error| told.by(&error))?;
        let mut chain = self.inner.poll_certificate(&PATIENCE).await;
        for _ in 1..FETCHES {
            match &chain {
                Ok(pem) if whole(pem) => break,
                Err(instant_acme::Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => break,
                Ok(_) | Err(instant_acme::Error::Api(_) | instant_acme::Error::Other(_)) => {}
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            chain = self.inner.poll_certificate(&PATIENCE).await;
        }
        Ok((chain.map_err(|error| told.by(&error))?, Secret::new(key.serialize_pem())))
    }
}

fn named((authority, serial): &(Vec<u8>, Vec<u8>)) -> CertificateIdentifier<'static> {
    CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(serial)).into_owned()
}

/// Whether all of a chain has arrived.
fn whole(pem: &str) -> bool {
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    all.peek().is_some() && all.all(|one| one.is_ok())
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
