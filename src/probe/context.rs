//! What all checks share.

use crate::model::observed::Observed;
use crate::model::stack::Stack;

use super::{Options, Target};

pub(super) struct Context<'a> {
    pub(super) stack: &'a Stack,
    pub(super) observed: Option<&'a Observed>,
    pub(super) target: &'a Target,
    pub(super) expected_certificate: Option<&'a str>,
    pub(super) options: &'a Options,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        observed: Option<&'a Observed>,
        target: &'a Target,
        expected_certificate: Option<&'a str>,
        options: &'a Options,
    ) -> Self {
        Self { stack, observed, target, expected_certificate, options }
    }
}
