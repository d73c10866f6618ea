//! L1: what a stack is, what an engine has, what a check found. Validated values without places in a file (but the
//! line a reader should look at), without effects.

pub mod artifact;
pub mod assets;
pub mod baseline;
pub mod certificate;
pub mod checklist;
pub mod container;
pub mod drift;
pub mod finding;
pub mod history;
pub mod inspected;
pub mod limit;
pub mod lock;
pub mod monitoring;
pub mod native;
pub mod nginx;
pub mod notify;
pub mod observed;
pub mod parts;
pub mod placeholder;
pub mod proxy;
pub mod rotation;
pub mod runtime;
pub mod secrets;
pub mod served;
pub mod service;
pub mod stack;
pub mod state;
pub mod verdicts;
