//! Groups of checks.
use super::context::Context;
use crate::model::finding::Finding;
pub(super) async fn run(_context: &Context<'_>, _sink: &mut dyn FnMut(Finding)) {}
