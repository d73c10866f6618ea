//! The session of a build: a connection on which the engine asks us, by gRPC, for secrets and for logins to registries.
//! Nothing else is answered, and nothing is sent that was not asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::task::JoinHandle;

use crate::base::hash;
use crate::base::secret::Secret;
use crate::engine::connect::Engine;
use crate::engine::error::{EngineError, ErrorKind};

use super::proto::{field, put_bytes, put_number};

/// Methods of ours, as the engine calls them.
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// The largest question that is read, bytes: each holds a name.
const QUESTION: usize = 64 << 10;

/// Codes of gRPC (grpc.io, "Status codes").
const NOT_FOUND: u16 = 5;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;

/// A session; it ends when it is dropped.
pub(super) struct Session {
    /// What the build call names it by.
    pub(super) id: String,
    served: JoinHandle<()>,
    silent: Arc<Mutex<Option<String>>>,
}

impl Session {
    /// Opens one that answers with these secrets, by their name in the Dockerfile.
    pub(super) async fn open(
        engine: &Engine,
        secrets: BTreeMap<String, Secret>,
        doing: &str,
    ) -> Result<Self, EngineError> {
        let failed = |message: String| EngineError::new(ErrorKind::Other, doing, message);
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| failed("this system gives no random numbers".to_owned()))?;
        let id = hash::hex(&bytes);
        let mut request = engine.request("POST", "/session").header("Connection", "Upgrade").header("Upgrade", "h2c");
        request = request
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "stackctl")
            .header("X-Docker-Expose-Session-Sharedkey", "");
        for method in [SECRET, CREDENTIALS, HEALTH] {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let response = engine.raw(doing, request, Bytes::new()).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(failed(format!("the engine opens no session ({})", response.status())));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| failed(error.to_string()))?;
        let silent = Arc::default();
        let answers = Arc::new(Answers { engine: engine.apart(), secrets, silent: Arc::clone(&silent) });
        let served = tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(TokioIo::new(upgraded)).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                // Each on its own: the engine asks whether we are alive while a credential helper waits for a finger.
                tokio::spawn(answer(Arc::clone(&answers), request, respond));
            }
        });
        Ok(Self { id, served, silent })
    }

    /// Why a helper that keeps credentials could not be asked, if that was so.
    pub(super) fn silent(&self) -> Option<String> {
        self.silent.lock().ok().and_then(|mut why| why.take())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.served.abort();
    }
}

struct Answers {
    engine: Engine,
    secrets: BTreeMap<String, Secret>,
    silent: Arc<Mutex<Option<String>>>,
}

impl Answers {
    /// The answer's message, or a code of gRPC and why.
    async fn to(&self, method: &str, question: &[u8]) -> Result<Vec<u8>, (u16, String)> {
        let mut out = Vec::new();
        match method {
            // GetSecretRequest { string ID = 1 } → GetSecretResponse { bytes data = 1 }
            SECRET => {
                let id = field(question, 1).text();
                let secret = self.secrets.get(&id).ok_or_else(|| (NOT_FOUND, format!("no secret {id}")))?;
                put_bytes(&mut out, 1, secret.expose().as_bytes());
            }
            // CredentialsRequest { string Host = 1 } → CredentialsResponse { string Username = 1, Secret = 2 }
            CREDENTIALS => {
                let (credentials, silent) = self.engine.login_at(&field(question, 1).text()).await;
                if let (Some(why), Ok(mut last)) = (silent, self.silent.lock()) {
                    *last = Some(why);
                }
                if let Some(found) = credentials {
                    // A token stands alone, so the engine knows it from a password.
                    let (user, secret) = match found.identitytoken {
                        Some(token) => (String::new(), token),
                        None => (found.username.unwrap_or_default(), found.password.unwrap_or_default()),
                    };
                    put_bytes(&mut out, 1, user.as_bytes());
                    put_bytes(&mut out, 2, secret.as_bytes());
                }
            }
            // HealthCheckResponse { ServingStatus status = 1 }, SERVING
            HEALTH => put_number(&mut out, 1, 1),
            _ => return Err((UNIMPLEMENTED, format!("unknown method {method}"))),
        }
        Ok(out)
    }
}

async fn answer(answers: Arc<Answers>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let method = request.uri().path().to_owned();
    let result = match question(request.into_body()).await {
        Some(question) => answers.to(&method, &question).await,
        None => Err((INTERNAL, "the question makes no sense".to_owned())),
    };
    // An engine that went away misses nothing.
    let _ = send(respond, result);
}

/// The message of a unary call: a byte that says whether it is compressed (we offer no way to), its length, itself.
async fn question(mut body: RecvStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.ok()?;
        let _ = body.flow_control().release_capacity(part.len());
        all.extend_from_slice(&part);
        if all.len() > QUESTION {
            return None;
        }
    }
    let (head, message) = all.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    (head[0] == 0 && message.len() as u64 == u64::from(length)).then(|| message.to_vec())
}

fn send(mut respond: SendResponse<Bytes>, result: Result<Vec<u8>, (u16, String)>) -> Result<(), h2::Error> {
    let response = |code: Option<(u16, String)>| {
        let mut response = Response::new(());
        let head = response.headers_mut();
        head.insert("content-type", HeaderValue::from_static("application/grpc"));
        if let Some((code, why)) = code {
            head.insert("grpc-status", HeaderValue::from(code));
            head.extend(
                HeaderValue::from_str(&why).ok().map(|why| (http::HeaderName::from_static("grpc-message"), why)),
            );
        }
        response
    };
    match result {
        Err(why) => respond.send_response(response(Some(why)), true).map(drop),
        Ok(message) => {
            let Ok(length) = u32::try_from(message.len()) else {
                respond.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            };
            let mut stream = respond.send_response(response(None), false)?;
            let mut frame = BytesMut::with_capacity(message.len() + 5);
            frame.put_u8(0);
            frame.put_u32(length);
            frame.put_slice(&message);
            stream.send_data(frame.freeze(), false)?;
            let mut end = HeaderMap::new();
            end.insert("grpc-status", HeaderValue::from_static("0"));
            stream.send_trailers(end)
        }
    }
}
