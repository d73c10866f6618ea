//! A container as the engine describes it in detail: for those who judge how it runs. Values of its environment are
//! not in it; whether a secret is among them was decided where they were read.

use std::collections::BTreeMap;

use crate::base::name::SecretName;

/// One container of the project.
#[expect(clippy::struct_excessive_bools, reason = "what an engine says of a container, not states of ours")]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspected {
    /// Name without the leading `/`.
    pub name: String,
    /// Service it belongs to; `proxy` for the front door, empty for helpers.
    pub service: String,
    /// Replica number, from 1; 0 for containers that are none.
    pub number: u32,
    /// It runs now.
    pub running: bool,
    /// When it was started last, as the engine writes it.
    pub started: String,
    /// How often the engine has restarted it.
    pub restarts: i64,
    /// The kernel killed it for using more memory than it may.
    pub oom_killed: bool,
    /// `user` or `user:group` of its configuration; empty for the image's own.
    pub user: String,
    /// All capabilities, all devices.
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Security options, such as `no-new-privileges`.
    pub security: Vec<String>,
    /// Its root cannot be written.
    pub read_only: bool,
    /// Namespaces it shares with the host: `network`, `pid`, `ipc`, `uts`, `user`.
    pub host_namespaces: Vec<&'static str>,
    /// Folders and files of the host in it: path on the host, path inside.
    pub binds: Vec<(String, String)>,
    /// Memory limit in bytes; 0 for none.
    pub memory: i64,
    /// Share of the processor in billionths of a core; 0 for none.
    pub nano_cpus: i64,
    /// Most processes; 0 or less for no limit.
    pub pids: i64,
    /// Restart policy, as the engine spells it.
    pub restart: String,
    /// Log driver.
    pub log_driver: String,
    /// Options of the log driver.
    pub log_options: BTreeMap<String, String>,
    /// Image reference it was made from.
    pub image: String,
    /// ID of its image.
    pub image_id: String,
    /// When its image was made, seconds since 1970, where the engine knows.
    pub image_created: Option<u64>,
    /// User ID, as the host sees it, and command of each process; `None` where the engine could not list them.
    pub processes: Option<Vec<(u32, String)>>,
    /// Secrets whose values everyone sees who may ask the engine, and where.
    pub visible: Vec<(SecretName, String)>,
}

/// Who may do what with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMode {
    /// Path below the folder that was asked for.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
}
