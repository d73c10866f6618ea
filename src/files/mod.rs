//! L3: files on this side: build contexts, texts that are read, artifacts that are written, secrets that are
//! kept here in files and other programs.

pub mod beside;
pub mod command;
pub mod context;
pub mod encrypted;
pub mod error;
pub mod git;
pub mod history;
mod ignore;
pub mod private;
pub mod write;

pub use beside::Folder;
pub use context::Context;
pub use error::FilesError;
pub use write::{closed_folder, read_text, write_all, write_out};
