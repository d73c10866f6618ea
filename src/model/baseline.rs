//! How fast the front door was when somebody said "this is good".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Times of answers, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// When it was taken, seconds since 1970.
    pub taken: u64,
    /// By path.
    pub paths: BTreeMap<String, Times>,
}

/// Times of one path's answers, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Half of the answers were faster.
    pub p50: u64,
    /// 95 of 100 answers were faster.
    pub p95: u64,
}
