//! L6: the command line. Arguments become settings, settings go to a command, a command ends in an exit status.

pub mod args;
mod candidates;
pub mod commands;
mod complete;
pub mod context;
pub mod converse;
pub mod exit;
pub mod help;
pub mod load;
mod memory;
pub mod run;
pub mod sealed;
pub mod session;
pub mod settings;
pub mod target;
mod text;

pub use memory::keep_private;
pub use run::run;
