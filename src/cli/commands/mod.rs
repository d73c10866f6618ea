//! One file per command.

pub mod audit;
pub mod check;
pub mod completions;
pub mod diff;
pub mod down;
pub mod exec;
pub mod explain;
pub mod forward;
pub mod init;
pub mod logs;
pub mod maintenance;
pub mod man;
pub mod plan;
pub mod prune;
pub mod releases;
pub mod render;
pub mod restart;
pub mod rollback;
pub mod run;
pub mod scale;
pub mod schema;
pub mod secrets;
pub mod stats;
pub mod status;
pub mod up;
pub mod verify;
