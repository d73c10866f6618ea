//! stackctl: one file says what should be true; `up` makes it true without dropping a request; `verify` proves it.
//!
//! Layers, top to bottom. A module imports only from layers below its own; `tests/layers.rs` holds that.
//!
//! ```text
//! cli → ui → apply → engine | files | probe | acme → plan | render | config | diagnose → model → base
//! ```

pub mod acme;
pub mod apply;
pub mod base;
pub mod cli;
pub mod config;
pub mod diagnose;
pub mod engine;
pub mod files;
pub mod model;
pub mod plan;
pub mod probe;
pub mod render;
pub mod ui;
