//! What the engine has: every list once, side by side, before anything is decided.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{ContainerSummary, ImageInspect, Network, Volume};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};
use futures_util::future::try_join_all;

use crate::base::name::ProjectName;
use crate::model::assets;
use crate::model::container::label;
use crate::model::observed::{Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume};
use crate::model::service::POSTGRES_DATA;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::volume::Entry;

/// Where the front door finds its flags.
const LIVE: &str = "/run/stackctl/live";

impl Engine {
    /// Everything a plan needs to know: the project's containers and volumes, all networks, those of `images` that
    /// are there, and the state.
    pub async fn observe(&self, project: &ProjectName, images: &[String]) -> Result<Observed, EngineError> {
        let ours = filter(project);
        let containers = self.docker.list_containers(Some(ListContainersOptions {
            all: true,
            filters: Some(ours.clone()),
            ..ListContainersOptions::default()
        }));
        let volumes = self.docker.list_volumes(Some(ListVolumesOptions { filters: Some(ours) }));
        let networks = self.docker.list_networks(None::<ListNetworksOptions>);
        let (containers, volumes, networks, images, state, live) = tokio::try_join!(
            self.call("list containers", containers),
            self.call("list volumes", volumes),
            self.call("list networks", networks),
            try_join_all(images.iter().map(|reference| self.find_image(reference))),
            self.read_state(project),
            self.live_of_door(project),
        )?;
        let mut observed = Observed {
            engine: self.facts().clone(),
            containers: containers.into_iter().map(container).collect(),
            networks: networks.into_iter().map(network).collect(),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(volume).collect(),
            images: images.into_iter().flatten().collect(),
            state,
            ..Observed::default()
        };
        let links = match live {
            Some(live) => live,
            // The front door's container is gone, or still has the name of a release under way.
            None => self.live_of_volume(project, &observed).await?,
        };
        observed.live = flags(&links);
        observed.assets = assets::read(links.iter().map(|(name, target)| (name.as_str(), target.as_str())));
        // The engine's own order changes from call to call; plans must not.
        observed.containers.sort_by(|a, b| a.name.cmp(&b.name));
        observed.networks.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
        observed.volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(observed)
    }

    /// The project's containers alone, by name.
    pub async fn containers(&self, project: &ProjectName) -> Result<Vec<ObservedContainer>, EngineError> {
        let options =
            ListContainersOptions { all: true, filters: Some(filter(project)), ..ListContainersOptions::default() };
        let list = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        let mut containers: Vec<ObservedContainer> = list.into_iter().map(container).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// The links that say which generation serves, as the front door itself sees them; `None` without a front door.
    async fn live_of_door(&self, project: &ProjectName) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let door = format!("{project}-proxy-1");
        match self.get_archive(&door, LIVE, "read which generation is live").await {
            Ok(files) => Ok(Some(links(files))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Major version of the PostgreSQL that wrote the data folder of a container, running or not; `None` if there is
    /// neither.
    pub async fn postgres_data(&self, container: &str) -> Result<Option<u32>, EngineError> {
        let path = format!("{POSTGRES_DATA}/PG_VERSION");
        match self.get_file(container, &path, "read the version of PostgreSQL's data").await {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().parse().ok()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn live_of_volume(
        &self,
        project: &ProjectName,
        observed: &Observed,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let volume = format!("{project}_proxy-files");
        if !observed.volumes.iter().any(|v| v.name == volume) {
            return Ok(BTreeMap::new());
        }
        match self.read_files(&volume, "live").await {
            Ok(files) => Ok(links(files)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// One image by reference or ID; `None` if the engine does not have it.
    pub async fn image(&self, reference: &str) -> Result<Option<ObservedImage>, EngineError> {
        Ok(self.find_image(reference).await?.map(|(_, image)| image))
    }

    async fn find_image(&self, reference: &str) -> Result<Option<(String, ObservedImage)>, EngineError> {
        let doing = format!("look for the image {reference}");
        match self.call(&doing, self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some((reference.to_owned(), image(found)))),
            Err(error) if matches!(error.kind, ErrorKind::ImageNotFound | ErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Links by name: where each leads.
fn links(files: BTreeMap<String, Entry>) -> BTreeMap<String, String> {
    files.into_iter().filter_map(|(name, entry)| Some((name, entry.link?))).collect()
}

/// The flags: `SERVICE.b` leads to `on` where bank 1 is live.
fn flags(links: &BTreeMap<String, String>) -> BTreeMap<String, u8> {
    let flag =
        |(name, target): (&String, &String)| Some((name.strip_suffix(".b")?.to_owned(), u8::from(target == "on")));
    links.iter().filter_map(flag).collect()
}

/// Only what carries the project's label.
pub(super) fn filter(project: &ProjectName) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{}={project}", label::PROJECT)])])
}

pub(super) fn container(summary: ContainerSummary) -> ObservedContainer {
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let networks = summary.network_settings.and_then(|n| n.networks).unwrap_or_default();
    let mut ports: Vec<_> = summary
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter_map(|port| Some((port.ip.unwrap_or_default(), port.public_port?, port.private_port)))
        .collect();
    ports.sort();
    ObservedContainer {
        id: summary.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        labels: labels(summary.labels),
        image_id: summary.image_id.unwrap_or_default(),
        state: summary.state.map(|s| s.to_string()).unwrap_or_default(),
        status: summary.status.unwrap_or_default(),
        networks: networks
            .into_iter()
            .map(|(name, endpoint)| (name, endpoint.ip_address.and_then(|address| address.parse().ok())))
            .collect(),
        ports,
        created: summary.created.unwrap_or_default(),
    }
}

fn network(network: Network) -> ObservedNetwork {
    let configs = network.ipam.and_then(|i| i.config).unwrap_or_default();
    ObservedNetwork {
        id: network.id.unwrap_or_default(),
        name: network.name.unwrap_or_default(),
        labels: labels(network.labels),
        internal: network.internal.unwrap_or(false),
        subnets: configs.iter().filter_map(|c| subnet(c.subnet.as_deref()?)).collect(),
    }
}

/// `10.0.0.0/24`; `None` for IPv6.
fn subnet(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (base, prefix) = text.split_once('/')?;
    Some((base.parse().ok()?, prefix.parse().ok().filter(|p| *p <= 32)?))
}

fn volume(volume: Volume) -> ObservedVolume {
    ObservedVolume { name: volume.name, labels: volume.labels.into_iter().collect() }
}

fn image(image: ImageInspect) -> ObservedImage {
    let mut digests = image.repo_digests.unwrap_or_default();
    digests.sort();
    let config = image.config.unwrap_or_default();
    let names = config.env.unwrap_or_default().into_iter();
    ObservedImage {
        id: image.id.unwrap_or_default(),
        digests,
        labels: labels(config.labels),
        env: names.map(|pair| pair.split_once('=').map_or(pair.clone(), |(name, _)| name.to_owned())).collect(),
    }
}

fn labels(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_as_the_engine_lists_it() {
        let json = r#"{"Id":"ab","Names":["/p-app-1"],"ImageID":"sha256:1","State":"exited","Status":"Exited (1) 2 minutes ago",
            "Created":12,"Labels":{"stackctl.service":"app","stackctl.addresses":"p_a=10.83.0.2,p_b=10.83.1.2"},
            "Ports":[{"PrivatePort":81,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],
            "NetworkSettings":{"Networks":{"p_a":{"IPAddress":""},"p_b":{"IPAddress":"10.83.1.2"}}}}"#;
        let seen = container(serde_json::from_str(json).unwrap_or_default());
        assert_eq!((seen.name.as_str(), seen.state.as_str(), seen.service()), ("p-app-1", "exited", "app"));
        assert_eq!(seen.networks["p_a"], None, "a stopped container has no address");
        assert_eq!(seen.networks["p_b"], Some(Ipv4Addr::new(10, 83, 1, 2)));
        assert_eq!(seen.addresses().len(), 2, "but its label says which it will have");
        assert_eq!(seen.ports, [("0.0.0.0".to_owned(), 8080, 80)]);
    }

    #[test]
    fn subnets_of_others_whatever_they_look_like() {
        assert_eq!(subnet("172.17.0.0/16"), Some((Ipv4Addr::new(172, 17, 0, 0), 16)));
        for odd in ["fd00::/64", "", "10.0.0.0", "10.0.0.0/99"] {
            assert_eq!(subnet(odd), None, "{odd}");
        }
    }
}
