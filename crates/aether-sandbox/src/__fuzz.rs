//! Entry points for the fuzz targets in `/fuzz`. Not for use, and under no promise.

use crate::control;
use crate::provisioning::fuzz;

/// Reads a request for provisioning.
pub fn provisioning_request(topic: &str, payload: &[u8]) {
    fuzz::request(topic, payload);
}

/// Reads the answer of a pre-provisioning hook.
pub fn hook_answer(answer: &[u8]) {
    fuzz::hook_answer(answer);
}

/// Reads a certificate signing request.
pub fn signing_request(text: &str) {
    fuzz::signing_request(text);
}

/// Makes requests to the control plane, as many as the input holds.
pub fn control_plane(input: &[u8]) {
    control::fuzz::requests(input);
}
