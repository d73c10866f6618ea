//! Networks.

use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};

use crate::model::container::NetworkSpec;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

/// What the engine says of a network that somebody is attached to.
const TAKEN: &str = "has active endpoints";

/// How often it is asked again, and after what time: 3 s in all.
const RECOUNTS: u32 = 12;
const RECOUNT: Duration = Duration::from_millis(250);

impl Engine {
    /// Creates a network with its subnet, its gateway and a range of its own for addresses nobody fixed.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let doing = format!("create the network {} ({})", spec.name, spec.subnet.cidr());
        self.call(&doing, self.docker.create_network(request(spec))).await?;
        Ok(())
    }

    /// Removes a network, by ID or name; fine if it is not there.
    pub async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let doing = format!("remove the network {id}");
        let remove = || self.call(&doing, self.docker.remove_network(id));
        let taken = |result: &Result<(), EngineError>| result.as_ref().is_err_and(|e| e.message.contains(TAKEN));
        let mut result = remove().await;
        // A container that removes itself when its client leaves is still counted for a moment (seen on 20.10, busy).
        for _ in 0..RECOUNTS {
            if !taken(&result) {
                break;
            }
            tokio::time::sleep(RECOUNT).await;
            result = remove().await;
        }
        match result {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // Engines now and then count a container that has left (seen on 20.10); only a restart makes them recount.
            Err(error) if error.message.contains(TAKEN) => Err(error.with_hint(format!(
                "`docker network inspect {id}` shows who is attached: stop them; if it shows nobody, the engine has \
                 miscounted, and a restart of it (`systemctl restart docker`) helps"
            ))),
            other => other,
        }
    }
}

fn request(spec: &NetworkSpec) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".to_owned()),
        internal: Some(spec.internal),
        enable_ipv6: Some(false),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(spec.subnet.cidr()),
                ip_range: Some(spec.subnet.dynamic_range()),
                gateway: Some(spec.subnet.gateway().to_string()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}
