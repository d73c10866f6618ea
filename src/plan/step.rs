//! A plan: single effects in an order, each with its cause. What `plan` prints, `up` does and tests compare.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::base::name::{ProjectName, ServiceName};
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::assets;
use crate::model::container::{ContainerSpec, NetworkSpec, VolumeSpec};
use crate::model::drift::Limits;
use crate::model::service::{Build, Health};

use super::network::PROXY;

/// All steps from what the engine has to what the file says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Project.
    pub project: ProjectName,
    /// Number of the release it makes.
    pub release: u32,
    /// Steps; each comes after all it needs.
    pub steps: Vec<Step>,
    /// What runs if one of them fails.
    pub on_failure: Vec<OnFailure>,
    /// What the reader should know besides the steps.
    pub notes: Vec<String>,
}

/// A command that runs if a release fails, in a container like one of its service that serves then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnFailure {
    /// Its service.
    pub service: ServiceName,
    /// The command.
    pub command: Vec<String>,
    /// What it is told of the release; why it failed comes with the failure.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Span,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why, in words.
    pub cause: String,
    /// Indexes of the steps it waits for; all smaller than its own.
    pub after: Vec<usize>,
    /// What users notice, in words; `None` for nothing.
    pub interrupts: Option<String>,
    /// How long at most users notice it, if all goes well: the time to stop, and the time to get ready. `None` where
    /// it stays so.
    pub at_most: Option<Span>,
    /// It removes something that cannot be made again.
    pub destroys: bool,
}

/// An effect on the engine. Containers go by name: names are unique and survive a restart of the client.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// Files of the state volume: new secrets, marks.
    WriteState {
        /// What is written, in words.
        what: String,
        /// The files.
        files: Vec<Artifact>,
    },
    /// Pulls an image.
    Pull {
        /// Reference.
        image: String,
    },
    /// Sends an image from the engine of this machine.
    Send {
        /// Reference, the same on both.
        image: String,
    },
    /// Builds an image.
    Build {
        /// Reference it gets.
        image: String,
        /// How.
        build: Build,
        /// Hash of its context.
        context: String,
    },
    /// Makes a network.
    CreateNetwork {
        /// The network.
        network: NetworkSpec,
    },
    /// Makes a volume for data.
    CreateVolume {
        /// The volume.
        volume: VolumeSpec,
    },
    /// Makes a files volume and writes files into it.
    WriteFiles {
        /// The volume.
        volume: VolumeSpec,
        /// Service that reads them.
        service: ServiceName,
        /// Files, paths below the volume's root.
        files: Vec<Artifact>,
        /// Links, path to target, made after the files.
        links: BTreeMap<String, String>,
    },
    /// Copies files out of an image into the front door's files volume. The container they are copied out of is never
    /// started.
    CopyFiles {
        /// The volume.
        volume: VolumeSpec,
        /// Whose image.
        service: ServiceName,
        /// Its reference.
        image: String,
        /// Folder in it.
        folder: String,
        /// What the folder goes by in the volume.
        key: String,
        /// Slot to fill, whatever is there.
        slot: u8,
    },
    /// Takes such files away.
    DropFiles {
        /// The volume.
        volume: String,
        /// Whose files.
        service: String,
        /// Folders of the volume.
        folders: Vec<String>,
        /// Links that say so, path to target.
        links: BTreeMap<String, String>,
    },
    /// Makes a container without starting it.
    Create {
        /// The container.
        container: Box<ContainerSpec>,
        /// Its service.
        service: ServiceName,
    },
    /// Starts a container.
    Start {
        /// Name.
        container: String,
    },
    /// Waits until a container is ready, or only until it has stayed up for a moment if there is nothing to ask.
    WaitReady {
        /// Name.
        container: String,
        /// Its service.
        service: ServiceName,
        /// What to ask.
        health: Option<Health>,
        /// Where: address and port.
        address: Option<std::net::SocketAddrV4>,
        /// How long it must stay ready before it counts.
        #[serde(skip_serializing_if = "Option::is_none")]
        hold: Option<Span>,
        /// How long it may take instead of its `start_period`.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
    /// Watches what the front door says of new containers after traffic has moved to them; fails if they do worse than
    /// those before. Then traffic goes back.
    Watch {
        /// Whose.
        service: ServiceName,
        /// Container of the front door.
        door: String,
        /// Addresses that get traffic now.
        new: Vec<std::net::SocketAddrV4>,
        /// Addresses that got traffic before.
        old: Vec<std::net::SocketAddrV4>,
        /// How long.
        time: Span,
        /// Files volume of the front door.
        volume: String,
        /// Where its flags lead if traffic goes back.
        back: BTreeMap<String, String>,
        /// How long requests to the new containers may take then.
        drain: Span,
    },
    /// Asks whether something that runs elsewhere accepts connections, before anything that needs it starts.
    Reach {
        /// Its name in the stack.
        service: ServiceName,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Asks a candidate through the front door's private listener: the real proxy, before there is traffic.
    Gate {
        /// Name.
        container: String,
        /// Its service.
        service: ServiceName,
        /// The candidate: address and port.
        candidate: std::net::SocketAddrV4,
        /// The private listener.
        listener: std::net::SocketAddrV4,
        /// Path to ask.
        path: String,
    },
    /// Runs a container to its end; it must exit 0. Removed afterwards.
    RunJob {
        /// The container.
        container: Box<ContainerSpec>,
        /// Its service.
        service: ServiceName,
        /// How long it may take.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
    /// Runs a container to its end when the release is out. That it does not exit 0 is told, and the release stays.
    PostDeploy {
        /// The container.
        container: Box<ContainerSpec>,
        /// Its service.
        service: ServiceName,
        /// How long it may take.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
    /// Asks the running front door whether it would accept a configuration.
    TestProxy {
        /// Name of the proxy's container.
        container: String,
        /// Path of the configuration inside.
        config: String,
    },
    /// Points links of a files volume somewhere else: another configuration, or another generation that is live.
    Switch {
        /// The volume.
        volume: String,
        /// Service that reads it.
        service: ServiceName,
        /// Link to target.
        links: BTreeMap<String, String>,
        /// Where links lead before, if the step can be taken back until its reader has started.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        back: BTreeMap<String, String>,
    },
    /// Makes a program read its files again.
    Reload {
        /// Name of the container.
        container: String,
        /// Its service.
        service: ServiceName,
        /// Hash of the files it must serve by afterwards.
        hash: String,
        /// Private listener that tells which files it serves by, where there is one.
        listener: Option<std::net::SocketAddrV4>,
        /// What is run in the container; without it, it gets a SIGHUP.
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<Vec<String>>,
    },
    /// Waits until the front door has no connection to these addresses any more.
    Drain {
        /// Whose.
        service: ServiceName,
        /// Container of the front door.
        door: String,
        /// Addresses that got traffic before.
        addresses: Vec<std::net::SocketAddrV4>,
        /// How long at most.
        time: Span,
    },
    /// Sets a container's limits as they were, while it runs.
    Update {
        /// Name.
        container: String,
        /// The limits.
        limits: Limits,
    },
    /// Takes a container off a network.
    Disconnect {
        /// Name.
        container: String,
        /// The network.
        network: String,
    },
    /// Asks a container to stop and waits until it has.
    Stop {
        /// Name.
        container: String,
        /// Time it gets.
        grace: Span,
    },
    /// Removes a container. Its volumes stay.
    Remove {
        /// Name.
        container: String,
    },
    /// Gives a container its final name.
    Rename {
        /// Name.
        container: String,
        /// Final name.
        to: String,
    },
    /// Removes a network.
    RemoveNetwork {
        /// Name.
        network: String,
    },
    /// Removes a volume.
    RemoveVolume {
        /// Name.
        volume: String,
    },
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Steps that users notice or that destroy something: asked about before they are done.
    pub fn needs_consent(&self) -> bool {
        self.steps.iter().any(|s| s.destroys || s.interrupts.is_some())
    }
}

impl fmt::Display for Plan {
    /// The golden text: one line a step, with the numbers it waits for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "#{index} {}", step.action)?;
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|n| format!("#{n}")).collect();
                write!(f, " after {}", after.join(" "))?;
            }
            write!(f, ": {}", step.cause)?;
            if let Some(what) = &step.interrupts {
                write!(f, " [interrupts: {what}]")?;
                if let Some(time) = step.at_most {
                    write!(f, " [at most {time}]")?;
                }
            }
            writeln!(f, "{}", if step.destroys { " [destroys]" } else { "" })?;
        }
        Ok(())
    }
}

impl Action {
    /// `+` made, `~` changed, `-` taken away, `·` neither.
    pub fn sign(&self) -> char {
        match self {
            Self::CreateNetwork { .. }
            | Self::CreateVolume { .. }
            | Self::Create { .. }
            | Self::Pull { .. }
            | Self::Send { .. }
            | Self::Build { .. } => '+',
            Self::WriteFiles { .. }
            | Self::CopyFiles { .. }
            | Self::WriteState { .. }
            | Self::Switch { .. }
            | Self::Reload { .. }
            | Self::Rename { .. }
            | Self::Update { .. }
            | Self::Disconnect { .. }
            | Self::Start { .. }
            | Self::RunJob { .. }
            | Self::PostDeploy { .. } => '~',
            Self::DropFiles { .. }
            | Self::Remove { .. }
            | Self::RemoveNetwork { .. }
            | Self::RemoveVolume { .. }
            | Self::Stop { .. } => '-',
            Self::Reach { .. }
            | Self::WaitReady { .. }
            | Self::Watch { .. }
            | Self::Gate { .. }
            | Self::TestProxy { .. }
            | Self::Drain { .. } => '·',
        }
    }
}

/// Whether links are flags and nothing else: the front door asks at each request whether they are there, and while they
/// are changed it may get either answer. Others are looked through at any time (certificates at each handshake): they
/// must always be there.
pub fn only_flags(links: &BTreeMap<String, String>) -> bool {
    links.keys().all(|link| link.starts_with("live/"))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteState { what, .. } => write!(f, "record {what}"),
            Self::Pull { image } => write!(f, "pull {image}"),
            Self::Send { image } => write!(f, "send {image} from this machine"),
            Self::Build { image, .. } => write!(f, "build {image}"),
            Self::CreateNetwork { network } => {
                write!(f, "create network {} ({})", network.name, network.subnet.cidr())
            }
            Self::CreateVolume { volume } => write!(f, "create volume {}", volume.name),
            Self::WriteFiles { volume, files, .. } => write!(f, "write {} files to {}", files.len(), volume.name),
            Self::CopyFiles { image, folder, .. } => write!(f, "copy {folder} out of {image}"),
            Self::DropFiles { service, .. } => write!(f, "remove old files of {service}"),
            Self::Create { container, .. } => write!(f, "create {}", container.name),
            Self::Start { container } => write!(f, "start {container}"),
            Self::WaitReady { container, hold: Some(time), .. } => {
                write!(f, "wait until {container} is ready and stays so for {time}")
            }
            Self::WaitReady { container, .. } => write!(f, "wait until {container} is ready"),
            Self::Reach { service, host, port } => write!(f, "connect to {service} at {host}:{port}"),
            Self::Watch { service, time, .. } => write!(f, "watch {service} for {time}"),
            Self::Gate { container, path, .. } => write!(f, "ask {container} for {path} through the front door"),
            Self::RunJob { container, .. } | Self::PostDeploy { container, .. } => write!(f, "run {}", container.name),
            Self::TestProxy { .. } => f.write_str("test the new configuration of the front door"),
            Self::Switch { links, .. } if only_flags(links) => {
                let services: Vec<&str> =
                    links.keys().filter_map(|l| l.strip_prefix("live/")?.strip_suffix(".b")).collect();
                if services.is_empty() {
                    let folders: Vec<&str> = links.keys().filter_map(|l| folder_of(l)).collect();
                    return write!(f, "switch to the new files of {}", folders.join(", "));
                }
                write!(f, "switch traffic to the new {}", services.join(", "))
            }
            Self::Switch { service, .. } => write!(f, "switch files of {service}"),
            Self::Reload { container, .. } => write!(f, "reload {container}"),
            Self::Drain { time, service, .. } => write!(f, "let requests to the old {service} end (at most {time})"),
            Self::Update { container, .. } => write!(f, "set the limits of {container} again"),
            Self::Disconnect { container, network } => write!(f, "take {container} off network {network}"),
            Self::Stop { container, .. } => write!(f, "stop {container}"),
            Self::Remove { container } => write!(f, "remove {container}"),
            Self::Rename { container, to } => write!(f, "rename {container} to {to}"),
            Self::RemoveNetwork { network } => write!(f, "remove network {network}"),
            Self::RemoveVolume { volume } => write!(f, "remove volume {volume}"),
        }
    }
}

/// Whether a link is one of ours, and not a flag: then the folder's name.
pub(super) fn folder_of(link: &str) -> Option<&str> {
    let name = link.strip_prefix("live/")?;
    let end = format!(".{}", assets::CURRENT);
    name.strip_suffix(end.as_str())?.split('.').next().filter(|name| *name != PROXY)
}
