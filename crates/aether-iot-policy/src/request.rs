//! One question to a set of policies.

use std::time::SystemTime;

use crate::time::Moment;
use crate::{Action, Context, Resource};

/// Who wants to do what with which resource.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    action: Action,
    resource: &'a Resource,
    context: &'a Context,
    time: Option<Moment>,
}

impl<'a> Request<'a> {
    /// `action` on `resource` over the connection described by `context`.
    pub fn new(action: Action, resource: &'a Resource, context: &'a Context) -> Self {
        Self { action, resource, context, time: None }
    }

    /// Tells the time, for `aws:CurrentTime` and `aws:EpochTime`. This crate reads no clock.
    #[must_use]
    pub fn at(mut self, now: SystemTime) -> Self {
        self.time = Moment::from_system_time(now);
        self
    }

    /// What is asked for.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What it is asked for on.
    pub fn resource(&self) -> &'a Resource {
        self.resource
    }

    /// Who asks.
    pub fn context(&self) -> &'a Context {
        self.context
    }

    pub(crate) fn time(&self) -> Option<Moment> {
        self.time
    }
}
