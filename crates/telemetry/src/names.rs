//! The table of names: every metric, every label, every event. A name is spelled here and nowhere
//! else.

pub mod attribute;

/// Metrics: name and help.
pub mod metric {
    /// A metric's name and what it tells.
    pub type Name = (&'static str, &'static str);

    /// Counter by surface, method, code.
    pub const HTTP_REQUESTS: Name =
        ("gateway_http_requests_total", "Requests answered, by surface, method and status code.");
    /// Histogram by surface.
    pub const HTTP_REQUEST_DURATION: Name = (
        "gateway_http_request_duration_seconds",
        "Time from a request's head to the end of its answer, by surface.",
    );
    /// Counter by surface, reason.
    pub const REQUESTS_REFUSED: Name =
        ("gateway_requests_refused_total", "Requests that were refused, by surface and reason.");
    /// Counter.
    pub const REQUESTS_PANICKED: Name = (
        "gateway_requests_panicked_total",
        "Requests that ended in a bug of the gateway. Anything but 0 is worth a report.",
    );
    /// Counter by outcome.
    pub const POLICY_RELOADS: Name =
        ("gateway_policy_reloads_total", "Attempts to load a changed policy, by outcome.");
    /// Gauge.
    pub const POLICY_LAST_RELOAD_SUCCESSFUL: Name = (
        "gateway_policy_last_reload_successful",
        "Whether the policy in the file is the policy in force (1), or was refused (0).",
    );
    /// Gauge.
    pub const POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP: Name = (
        "gateway_policy_last_reload_success_timestamp_seconds",
        "When the policy in force was loaded, in seconds since 1970.",
    );
    /// Gauge by revision, hash.
    pub const POLICY_INFO: Name = ("gateway_policy_info", "The policy in force.");
    /// Counter by directory, result.
    pub const ACME_ORDERS: Name = (
        "gateway_acme_orders_total",
        "Attempts to get a certificate, by directory and result: issued, failed, rate_limited.",
    );
    /// Gauge by host.
    pub const TLS_CERTIFICATE_TEMPORARY: Name = (
        "gateway_tls_certificate_temporary",
        "Whether a host has only a temporary certificate that nobody trusts (1), or a real one (0).",
    );
    /// Gauge by host.
    pub const TLS_CERTIFICATE_RENEWAL: Name = (
        "gateway_tls_certificate_renewal_timestamp_seconds",
        "When the certificate of a host is to be renewed, in seconds since 1970.",
    );
    /// Gauge by host.
    pub const TLS_CERTIFICATE_NOT_AFTER: Name = (
        "gateway_tls_certificate_not_after_seconds",
        "When the certificate served for a host ends, in seconds since 1970.",
    );
    /// Counter.
    pub const TLS_HANDSHAKES_FAILED: Name =
        ("gateway_tls_handshakes_failed_total", "TLS handshakes that did not complete.");
    /// Gauge by upstream.
    pub const UPSTREAM_UP: Name =
        ("gateway_upstream_up", "Whether a process of n8n is reachable and ready (1) or not (0).");
    /// Gauge by upstream.
    pub const UPSTREAM_CIRCUIT_OPEN: Name = (
        "gateway_upstream_circuit_open",
        "Whether requests to a process of n8n are refused at once because it was not there (1) or \
         not (0).",
    );
    /// Histogram.
    pub const UPSTREAM_REQUEST_DURATION: Name = (
        "gateway_upstream_request_duration_seconds",
        "Time from a request's hand-over to n8n to the head of n8n's answer.",
    );
    /// Counter by fault.
    pub const UPSTREAM_FAULTS: Name =
        ("gateway_upstream_faults_total", "Requests that n8n did not answer, by fault.");
    /// Counter.
    pub const UPSTREAM_RETRIES: Name = (
        "gateway_upstream_retries_total",
        "Requests sent again on another connection because n8n cannot have seen them.",
    );
    /// Gauge by kind.
    pub const CONNECTIONS_OPEN: Name =
        ("gateway_connections_open", "Connections open now, by kind.");
    /// Counter by reason.
    pub const CONNECTIONS_REFUSED: Name = (
        "gateway_connections_refused_total",
        "Connections dropped when they were made, by reason.",
    );
    /// Counter by reason.
    pub const CONNECTIONS_CUT: Name = (
        "gateway_connections_cut_total",
        "Connections ended by the gateway although no request was refused, by reason.",
    );
    /// Counter.
    pub const LOG_LINES_DROPPED: Name = (
        "gateway_log_lines_dropped_total",
        "Log lines that were dropped because nobody read them fast enough.",
    );
    /// Counter by rule, outcome.
    pub const RATE_LIMIT_REQUESTS: Name = (
        "gateway_rate_limit_requests_total",
        "Requests charged to a rate limit, by rule and outcome: allowed, refused, would_refuse.",
    );
    /// Counter by webhook, outcome.
    pub const WEBHOOK_REQUESTS: Name = (
        "gateway_webhook_requests_total",
        "Calls of webhooks that have to show something, by the webhook's place in the policy and \
         outcome: accepted, refused, would_refuse.",
    );
    /// Gauge.
    pub const WINDOWS_OPEN: Name =
        ("gateway_windows_open", "Windows that the operator has opened and that are still open.");
    /// Counter by surface, reason.
    pub const REQUESTS_WOULD_REFUSE: Name = (
        "gateway_requests_would_refuse_total",
        "Requests that passed in a dry run and would have been refused, by surface and reason.",
    );
    /// Counter by id, outcome.
    pub const ATTACKS: Name = (
        "gateway_attacks_total",
        "Requests that looked like a known attack, by its id and outcome: blocked, reported, \
         would_block.",
    );
    /// Gauge by version.
    pub const N8N_INFO: Name =
        ("gateway_n8n_info", "The release that n8n says it is; no series if nobody knows.");
    /// Counter by jail.
    pub const JAIL_FAILED: Name =
        ("gateway_jail_failed_total", "Offences that a jail has counted.");
    /// Gauge by jail.
    pub const JAIL_BANNED_CURRENT: Name =
        ("gateway_jail_banned_current", "Addresses and networks banned now, by jail.");
    /// Counter by jail.
    pub const JAIL_BANNED: Name = ("gateway_jail_banned_total", "Bans made, by jail.");
    /// Counter by jail.
    pub const JAIL_WOULD_BAN: Name =
        ("gateway_jail_would_ban_total", "Bans that a dry run only told of, by jail.");
    /// Counter by outcome.
    pub const SIGN_INS: Name = (
        "gateway_sign_ins_total",
        "Attempts to sign in that n8n has answered, by outcome: succeeded, failed, \
         second_factor_missing, second_factor_failed.",
    );
    /// Counter by outcome.
    pub const API_KEY_MOVES: Name = (
        "gateway_api_key_moves_total",
        "Uses of an API key in another network than before, by outcome: told, refused.",
    );
    /// Counter.
    pub const PASSWORDS_LEAKED: Name = (
        "gateway_passwords_leaked_total",
        "How often a right password was shown again and again without its second factor.",
    );
    /// Gauge.
    pub const MEMORY_PRESSURE: Name = (
        "gateway_memory_pressure",
        "Whether there is enough memory (0), little (1) or next to none (2).",
    );
    /// Counter.
    pub const STATE_WRITE_FAILURES: Name = (
        "gateway_state_write_failures_total",
        "Attempts to write bans to disk that failed. They are enforced from memory and tried again.",
    );
    /// Gauge.
    pub const TASKS_ALIVE: Name = (
        "gateway_tasks_alive",
        "Tasks in all runtimes now. It follows the open connections and requests.",
    );
    /// Gauge.
    pub const N8N_UNCLAIMED: Name = (
        "gateway_n8n_unclaimed",
        "1 while n8n has no owner: whoever comes first owns it. 0 if it has one, or was not asked yet.",
    );
    /// Gauge by kind.
    pub const LEDGER_KEYS: Name = (
        "gateway_ledger_keys",
        "What is remembered of clients now, by kind: limits, offenders, offences, webhooks, messages, \
         api_keys.",
    );
    /// Gauge by level.
    pub const AUDIT_FINDINGS: Name = (
        "gateway_audit_findings",
        "What is wrong with n8n's installation as of the last look, by level: critical, high, medium, \
         low, info.",
    );
    /// Gauge.
    pub const AUDIT_UNKNOWN: Name = (
        "gateway_audit_unknown",
        "Checks of n8n's installation that could not be made at the last look.",
    );
    /// Gauge.
    pub const AUDIT_TIMESTAMP: Name = (
        "gateway_audit_timestamp_seconds",
        "When n8n's installation was looked at last, in seconds since 1970; 0 if it was not.",
    );
    /// Counter by outcome.
    pub const OTLP_RECORDS: Name = (
        "gateway_otlp_records_total",
        "Log records for the OpenTelemetry collector, by outcome: sent, queue_full, refused, unsent. \
         No series unless the policy has `log.otlp`.",
    );
    /// Counter.
    pub const OTLP_FAILURES: Name = (
        "gateway_otlp_failures_total",
        "Attempts to reach the OpenTelemetry collector that failed. They are made again.",
    );
    /// Gauge by version.
    pub const BUILD_INFO: Name = ("gateway_build_info", "The version that runs.");
}

/// Labels.
pub mod label {
    /// A surface's name; `none` where no surface was found.
    pub const SURFACE: &str = "surface";
    /// A method; `other` for what n8n does not know.
    pub const METHOD: &str = "method";
    /// A status code.
    pub const CODE: &str = "code";
    /// How bad a finding is.
    pub const LEVEL: &str = "level";
    /// A reason's name.
    pub const REASON: &str = "reason";
    /// How something ended.
    pub const OUTCOME: &str = "outcome";
    /// A host of the policy.
    pub const HOST: &str = "host";
    /// A process of n8n, by its URL in the policy.
    pub const UPSTREAM: &str = "upstream";
    /// What went wrong between the gateway and n8n.
    pub const FAULT: &str = "fault";
    /// A certification authority, by its name in the policy.
    pub const DIRECTORY: &str = "directory";
    /// How an order ended.
    pub const RESULT: &str = "result";
    /// What a connection is for.
    pub const KIND: &str = "kind";
    /// A rate limit, by its key in the policy and who shares its budget.
    pub const RULE: &str = "rule";
    /// A known attack, by its id in the catalogue or its name in the policy.
    pub const ID: &str = "id";
    /// A webhook, by its place in the policy.
    pub const WEBHOOK: &str = "webhook";
    /// A jail.
    pub const JAIL: &str = "jail";
    /// How many policies this process has had.
    pub const REVISION: &str = "revision";
    /// The first digits of the SHA-256 of the policy's file.
    pub const HASH: &str = "hash";
    /// A version of the gateway.
    pub const VERSION: &str = "version";
    /// The surface label where no surface was found.
    pub const NO_SURFACE: &str = "none";
}

/// Events: the value of the field `event` of a log line.
pub mod event {
    /// A request ended.
    pub const ACCESS: &str = "access";
    /// A request was refused.
    pub const REFUSED: &str = "refused";
    /// A request met a bug.
    pub const PANICKED: &str = "panicked";
    /// There is more or less memory left than before.
    pub const MEMORY_PRESSURE: &str = "memory_pressure";
    /// A connection was ended although no request was refused.
    pub const CONNECTION_CUT: &str = "connection_cut";
    /// The gateway serves.
    pub const STARTED: &str = "started";
    /// The gateway takes no more connections.
    pub const STOPPING: &str = "stopping";
    /// The gateway has stopped.
    pub const STOPPED: &str = "stopped";
    /// The process gave up what it does not need.
    pub const CONFINED: &str = "confined";
    /// A file of the system's was replaced, and cannot be read any more.
    pub const OUT_OF_REACH: &str = "out_of_reach";
    /// The list of passwords that have leaked could not be read.
    pub const LEAKED_PASSWORDS_UNREAD: &str = "leaked_passwords_unread";
    /// n8n has no owner: whoever comes first owns it.
    pub const N8N_UNCLAIMED: &str = "n8n_unclaimed";
    /// n8n has an owner.
    pub const N8N_CLAIMED: &str = "n8n_claimed";
    /// A session is used in another network than before.
    pub const SESSION_MOVED: &str = "session_moved";
    /// An API key is used in another network than before.
    pub const API_KEY_NEW_NETWORK: &str = "api_key_new_network";
    /// The operator has an API key forgotten.
    pub const API_KEY_FORGOTTEN: &str = "api_key_forgotten";
    /// The operator has ended sessions.
    pub const SESSIONS_ENDED: &str = "sessions_ended";
    /// Another process has taken over.
    pub const HANDED_OVER: &str = "handed_over";
    /// Another process could not take over.
    pub const UPGRADE_FAILED: &str = "upgrade_failed";
    /// A changed policy was tried.
    pub const RELOAD: &str = "reload";
    /// A policy in use has a flaw.
    pub const POLICY_WARNING: &str = "policy_warning";
    /// A certificate is served.
    pub const CERTIFICATE_LOADED: &str = "certificate_loaded";
    /// The operator asks for certificates before their time.
    pub const CERTIFICATE_ORDERED: &str = "certificate_ordered";
    /// A CA has issued a certificate.
    pub const CERTIFICATE_ISSUED: &str = "certificate_issued";
    /// No CA has issued a certificate.
    pub const CERTIFICATE_FAILED: &str = "certificate_failed";
    /// Hosts have a temporary certificate for the time being.
    pub const CERTIFICATE_TEMPORARY: &str = "certificate_temporary";
    /// A broken file was set aside.
    pub const CERTIFICATE_SET_ASIDE: &str = "certificate_set_aside";
    /// A new certificate is not what handshakes show.
    pub const CERTIFICATE_NOT_SERVED: &str = "certificate_not_served";
    /// A certificate was revoked by the operator.
    pub const CERTIFICATE_REVOKED: &str = "certificate_revoked";
    /// n8n answers.
    pub const UPSTREAM_UP: &str = "upstream_up";
    /// n8n does not answer.
    pub const UPSTREAM_DOWN: &str = "upstream_down";
    /// A request was not answered by n8n.
    pub const UPSTREAM_FAULT: &str = "upstream_fault";
    /// A tunnel was closed by the gateway.
    pub const TUNNEL_CLOSED: &str = "tunnel_closed";
    /// A request passed in a dry run.
    pub const WOULD_REFUSE: &str = "would_refuse";
    /// The call of a webhook did not show what it is asked for.
    pub const WEBHOOK_REFUSED: &str = "webhook_refused";
    /// The operator lets somebody in for a time.
    pub const WINDOW_OPENED: &str = "window_opened";
    /// That time is over, or the operator has ended it.
    pub const WINDOW_CLOSED: &str = "window_closed";
    /// An attempt to sign in failed.
    pub const SIGN_IN_FAILED: &str = "sign_in_failed";
    /// Somebody signed in.
    pub const SIGN_IN_SUCCEEDED: &str = "sign_in_succeeded";
    /// Somebody knows a password and not the second factor.
    pub const PASSWORD_LEAKED: &str = "password_leaked";
    /// A request looks like a known attack.
    pub const ATTACK: &str = "attack";
    /// n8n is of another release than before.
    pub const N8N_RELEASE: &str = "n8n_release";
    /// n8n's release has a flaw that honest requests can look like: they are stopped as well.
    pub const HONEST_STOPPED: &str = "honest_stopped";
    /// Something is held against a client.
    pub const OFFENCE: &str = "offence";
    /// A client is banned.
    pub const BANNED: &str = "banned";
    /// A client would be banned.
    pub const WOULD_BAN: &str = "would_ban";
    /// A ban has ended.
    pub const UNBANNED: &str = "unbanned";
    /// What is remembered cannot be read or written.
    pub const STATE_WRITE_FAILED: &str = "state_write_failed";
    /// It can again.
    pub const STATE_RECOVERED: &str = "state_recovered";
    /// The OpenTelemetry collector takes nothing.
    pub const EXPORT_FAILED: &str = "export_failed";
    /// It does again.
    pub const EXPORT_RECOVERED: &str = "export_recovered";
    /// nftables could not be told.
    pub const NFTABLES_FAILED: &str = "nftables_failed";
    /// n8n's installation was looked at.
    pub const AUDITED: &str = "audited";
    /// A DNS name of a network could not be asked for.
    pub const NAME_NOT_RESOLVED: &str = "name_not_resolved";
}
