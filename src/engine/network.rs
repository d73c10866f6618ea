//! Networks.

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};

use crate::model::container::NetworkSpec;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

impl Engine {
    /// Creates a network with its subnet, its gateway and a range of its own for addresses nobody fixed.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let doing = format!("create the network {} ({})", spec.name, spec.subnet.cidr());
        self.call(&doing, self.docker.create_network(request(spec))).await?;
        Ok(())
    }

    /// Removes a network, by ID or name; fine if it is not there.
    pub async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        match self.call(&format!("remove the network {id}"), self.docker.remove_network(id)).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // Engines now and then count a container that has left (seen on 20.10); only a restart makes them recount.
            Err(error) if error.message.contains("has active endpoints") => Err(error.with_hint(format!(
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
