//! What a field of a log line is called in OpenTelemetry.
//!
//! Source: OpenTelemetry's semantic conventions 1.40, HTTP server, URL, client, TLS.

/// What fields of every line are called. What is in no table has its own name after [`OWN`].
pub const COMMON: [(&str, &str); 3] =
    [("client", "client.address"), ("error", "error.message"), ("fault", "error.type")];

/// What fields of an access record are called besides.
pub const OF_ACCESS: [(&str, &str); 6] = [
    ("status", "http.response.status_code"),
    ("http", "network.protocol.version"),
    ("tls", "tls.protocol.version"),
    ("client_certificate", "tls.client.subject"),
    ("received", "http.request.body.size"),
    ("sent", "http.response.body.size"),
];

/// What stands before a name that OpenTelemetry has no word for.
pub const OWN: &str = "n8n_gateway.";

/// A request's method.
pub const METHOD: &str = "http.request.method";
/// A method that is none of [`METHODS`], as it came.
pub const METHOD_ORIGINAL: &str = "http.request.method_original";
/// The method in place of one that is not known.
pub const OTHER_METHOD: &str = "_OTHER";
/// The methods that are known. Source: RFC 9110, RFC 5789, as the conventions have it.
pub const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// A path, redacted.
pub const PATH: &str = "url.path";
/// A query, redacted.
pub const QUERY: &str = "url.query";
/// `https` or `http`.
pub const SCHEME: &str = "url.scheme";

/// The program that speaks.
pub const SERVICE_NAME: &str = "service.name";
/// Its version.
pub const SERVICE_VERSION: &str = "service.version";
/// The machine it runs on.
pub const HOST_NAME: &str = "host.name";
/// Its process.
pub const PROCESS_ID: &str = "process.pid";
/// What `SERVICE_NAME` is.
pub const SERVICE: &str = "n8n-gateway";
