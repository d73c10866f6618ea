//! The helper container in the network of the engine's host: started when something has to be reached through it.

use bollard::container::AttachContainerResults;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::base::hash;
use crate::model::container::label;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;
use super::relay::{self, Relay};

impl Engine {
    /// Starts a helper that reaches what the engine's host does. It ends when it is dropped.
    pub(super) async fn start_relay(&self) -> Result<Relay, EngineError> {
        let doing = "start a helper that reaches containers";
        let mut bytes = [0; 6];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| EngineError::new(ErrorKind::Other, doing, "this system gives no random numbers"))?;
        let name = format!("stackctl-relay-{}", hash::hex(&bytes));
        let create = || {
            let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
            self.docker.create_container(Some(options), body())
        };
        let container = match self.call(doing, create()).await {
            Err(error) if error.kind == ErrorKind::ImageNotFound => {
                let program = relay::program(&self.facts().arch);
                self.import_program(relay::IMAGE, "relay", program).await?;
                self.call(doing, create()).await?.id
            }
            other => other?.id,
        };
        let options = AttachContainerOptions { stream: true, stdin: true, stdout: true, ..Default::default() };
        let started = async {
            let attach = self.docker.attach_container(&container, Some(options));
            let AttachContainerResults { input, .. } = self.call(doing, attach).await?;
            self.call(doing, self.docker.start_container(&container, None)).await?;
            Ok(input)
        };
        match started.await {
            Ok(input) => Ok(Relay::new(self.docker.clone(), container, input)),
            Err(error) => {
                let _ = self.discard(&container).await;
                Err(error)
            }
        }
    }
}

fn body() -> ContainerCreateBody {
    let mut body = holder::body([(label::ROLE.to_owned(), "relay".to_owned())], None);
    body.image = Some(relay::IMAGE.to_owned());
    body.entrypoint = Some(vec!["/relay".to_owned()]);
    body.user = Some("65534:65534".to_owned());
    body.open_stdin = Some(true);
    body.stdin_once = Some(true);
    body.attach_stdin = Some(true);
    body.host_config = Some(HostConfig {
        network_mode: Some("host".to_owned()),
        // An engine that maps users allows the host's network only without.
        userns_mode: Some("host".to_owned()),
        auto_remove: Some(true),
        pids_limit: Some(1024),
        ..body.host_config.unwrap_or_default()
    });
    body
}
