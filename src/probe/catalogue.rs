//! The checklist, in the order it is asked.

use super::check::Check;

/// Every check there is.
pub const CATALOGUE: &[Check] = &[];
