//! L5: what people and programs see. The only place that writes to the terminal.

pub mod checklist;
pub mod error;
pub mod explain;
pub mod findings;
pub mod junit;
pub mod output;
pub mod paint;
pub mod plan;
pub mod problems;
pub mod progress;
pub mod prompt;
pub mod reports;
pub mod terminal;
pub mod text;
pub mod watch;
