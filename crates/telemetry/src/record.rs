//! The record of one request.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

/// One request, written when both its bodies have ended. What is secret has been taken out.
#[derive(Clone, Debug, Serialize)]
pub struct AccessRecord<'r> {
    /// The request's id; written as the client got it, in 16 hexadecimal digits.
    #[serde(serialize_with = "hexadecimal")]
    pub request_id: u64,
    /// The client's address.
    pub client: IpAddr,
    /// The surface; nothing if none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// The method.
    pub method: &'r str,
    /// Path and query, redacted.
    pub path: String,
    /// `1.0`, `1.1` or `2`.
    pub http: &'static str,
    /// The version of TLS; nothing in clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'static str>,
    /// Whom the client's certificate is for; nothing without one of an authority of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<&'r str>,
    /// The status that the client got; 0 if it left before it got one.
    pub status: u16,
    /// The status that n8n gave, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n8n_status: Option<u16>,
    /// Why the request was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The policy's revision.
    pub revision: u64,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// From the head of the request to the end of the answer.
    pub duration_ms: f64,
    /// From the hand-over to n8n to the head of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n8n_ms: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn hexadecimal<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:016x}"))
}
