//! L3: files on this side: build contexts, texts that are read, artifacts that are written.

pub mod beside;
pub mod context;
pub mod error;
pub mod history;
mod ignore;
pub mod write;

pub use beside::Folder;
pub use context::Context;
pub use error::FilesError;
pub use write::{closed_folder, read_text, write_all};
