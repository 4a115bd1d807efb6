//! The details of failed calls.

use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};

/// A failed call with the details that a node sends.
#[derive(Debug, thiserror::Error)]
#[error("{status:?} ({reason}): {message}")]
pub struct Refusal {
    pub status: Code,
    /// The error code, and the layer that refused; docs/API.md lists them. Both are empty when no node answered.
    pub reason: String,
    pub domain: String,
    /// The field at fault, and what it broke; each may be empty.
    pub field: String,
    pub limit: String,
    /// A sentence for people.
    pub message: String,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info().unwrap_or_else(|| ErrorInfo::new("", "", []));
        let metadata = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
        Self {
            status: status.code(),
            field: metadata("field"),
            limit: metadata("limit"),
            reason: info.reason,
            domain: info.domain,
            message: status.message().to_owned(),
        }
    }
}

impl Refusal {
    /// Tells whether repeating the call later can help.
    pub fn is_passing(&self) -> bool {
        // tonic reports a connection that broke in the middle of a stream as Unknown.
        let is_broken = self.status == Code::Unknown && self.reason.is_empty();
        let codes = [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted, Code::Internal, Code::Cancelled];
        let reasons = ["SLOW_READER", "RATE_LIMITED", "TOO_MANY_CALLS"];
        is_broken || codes.contains(&self.status) || reasons.contains(&self.reason.as_str())
    }
}
