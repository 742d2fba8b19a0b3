//! The methods that something in n8n listens to.

use http::Method;

/// Them all, as an `Allow` field says it (RFC 9110 10.2.1).
///
/// Source: n8n `packages/nodes-base/nodes/Webhook/description.ts` (`httpMethod`), its routes, and
/// `OPTIONS` for preflights.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether something listens to `method`.
#[must_use]
pub fn has_method(method: &Method) -> bool {
    METHODS.split(", ").any(|it| it == method.as_str())
}
