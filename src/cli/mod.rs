//! L6: the command line. Arguments become settings, settings go to a command, a command ends in an exit status.

pub mod args;
pub mod commands;
mod complete;
pub mod context;
pub mod converse;
pub mod exit;
pub mod help;
pub mod load;
pub mod run;
pub mod sealed;
pub mod session;
pub mod settings;
pub mod target;

pub use run::run;
