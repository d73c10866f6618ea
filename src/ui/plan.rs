//! Shim until the real view is merged.
use super::output::{Output, WriteError};
use crate::plan::Plan;
/// Shows.
pub fn show(plan: &Plan, out: &Output) -> Result<(), WriteError> {
    out.data(plan.to_string())
}
/// Shows.
pub fn show_talk(plan: &Plan, out: &Output) {
    out.say(plan.to_string());
}
