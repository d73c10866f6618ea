//! One file per command.

pub mod audit;
pub mod check;
pub mod completions;
pub mod diff;
pub mod down;
pub mod explain;
pub mod init;
pub mod logs;
pub mod maintenance;
pub mod man;
pub mod plan;
pub mod releases;
pub mod render;
pub mod rollback;
pub mod schema;
pub mod status;
pub mod up;
pub mod verify;
