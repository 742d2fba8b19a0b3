//! The surface table: the only place that knows which paths n8n serves and what each is for.

use crate::Root;

/// A part of n8n that is reached by paths of its own and is opened or closed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Surface {
    /// Whatever no other row claims: n8n answers with the editor's page.
    Editor,
    /// The editor's bundles, icons and schemas.
    Assets,
    /// The pictures that public pages of n8n load from its own origin.
    PageAssets,
    /// The editor's internal API.
    Rest,
    /// Every way to become signed in, or to get an account.
    SignIn,
    /// The editor's push channel.
    Push,
    /// The relay between n8n's assistant and a browser extension.
    BrowserUse,
    /// Where OAuth providers send a browser back after a credential was granted.
    OauthCallback,
    /// What chat platforms call for n8n's agents (a module that is off unless enabled).
    Agents,
    /// The public REST API, its description and its Swagger page.
    PublicApi,
    /// Production webhooks, hosted chat pages among them.
    Webhook,
    /// Test webhooks.
    WebhookTest,
    /// Executions that wait for a call, approvals among them.
    WebhookWaiting,
    /// Production forms.
    Form,
    /// Test forms.
    FormTest,
    /// Forms of executions that wait.
    FormWaiting,
    /// MCP Server Trigger nodes.
    Mcp,
    /// MCP Server Trigger nodes under test.
    McpTest,
    /// The instance's own MCP server.
    McpServer,
    /// The OAuth server of the instance's MCP server.
    OauthServer,
    /// The WebSocket of hosted chats.
    Chat,
    /// Liveness and readiness.
    Health,
    /// n8n's own Prometheus metrics.
    Metrics,
    /// What nobody outside may ever reach.
    Internal,
}

/// Who may call a surface when the policy does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody: third parties or their users depend on it.
    Anyone,
    /// Whoever may reach the editor.
    Editors,
    /// Nobody.
    Nobody,
}

/// How long an exchange on a surface may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A question and its answer: limited as a whole.
    Exchange,
    /// An execution runs before the answer, or the answer is a stream: only silence is limited.
    Stream,
    /// A tunnel after an upgrade: only silence is limited.
    Upgrade,
}

/// Which of the two hosts of a policy serves a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `site.host`.
    Site,
    /// `site.webhook_host` where there is one.
    Webhooks,
    /// Both: n8n prints such addresses on one or the other, or pages of both load it.
    Either,
}

/// Which n8n process serves a surface in queue mode.
///
/// Source: n8n `webhooks/webhook-server.js` (what `n8n webhook` mounts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The main process.
    Main,
    /// A webhook processor, any of them.
    Webhook,
    /// A webhook processor, the same one for the same client: sessions live in its memory.
    WebhookSticky,
}

/// How large a request's body n8n takes.
///
/// Source: `@n8n/config`, `endpoints.config.js`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// `N8N_PAYLOAD_SIZE_MAX`, 16 MiB.
    Payload,
    /// `N8N_FORMDATA_FILE_SIZE_MAX`, 200 MiB.
    Files,
}

impl Bodies {
    /// n8n's own default limit in bytes.
    #[must_use]
    pub const fn limit(self) -> u64 {
        match self {
            Self::Payload => 16 << 20,
            Self::Files => 200 << 20,
        }
    }
}

/// What follows a surface's first segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Routes and identifiers, matched by Express without decoding.
    Plain,
    /// A name that is itself a secret; n8n decodes it once and looks it up as it is spelled.
    Secret,
}

/// Where an `Upgrade: websocket` is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Nowhere: n8n would leave the socket open without an answer.
    Never,
    /// At this very path, as it is spelled; plain requests are served as well.
    Exactly,
    /// At this path and below, as it is spelled; a plain request is not for this surface.
    Only,
}

/// One place where n8n mounts a surface.
#[derive(Clone, Copy, Debug)]
pub struct Mount {
    /// The segment that may be renamed.
    pub root: Root,
    /// The path below it: literal segments, `*` for any one segment, a final `**` for the path
    /// itself and everything below; empty for the root itself. A path that begins with `-` goes
    /// on in the root's own segment.
    pub path: &'static str,
    /// Whether an upgrade is answered there.
    pub upgrade: Upgrade,
    /// Whether n8n itself is of two minds about other spellings of its literals.
    pub as_spelled: bool,
}

/// What is known of one surface.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The surface.
    pub surface: Surface,
    /// Its name in the policy, in metrics and in logs.
    pub name: &'static str,
    /// Who may call it when the policy does not say.
    pub audience: Audience,
    /// How long an exchange may live.
    pub lifetime: Lifetime,
    /// Which host serves it.
    pub origin: Origin,
    /// Which n8n process serves it.
    pub process: Process,
    /// How large its requests' bodies may be.
    pub bodies: Bodies,
    /// What follows its first segment.
    pub tail: Tail,
    /// Where n8n mounts it. Empty for the editor, which has the rest.
    pub mounts: &'static [Mount],
    /// Paths of this surface, as n8n names them by default. Tests read them.
    pub examples: &'static [&'static str],
}

const fn at(root: Root, path: &'static str) -> Mount {
    Mount { root, path, upgrade: Upgrade::Never, as_spelled: false }
}

const fn upgrade(root: Root, path: &'static str, upgrade: Upgrade) -> Mount {
    Mount { root, path, upgrade, as_spelled: false }
}

/// A row that is served by the main process to the editor's networks as short exchanges; what a
/// surface does otherwise is written in its row.
const CLOSED: Row = Row {
    surface: Surface::Editor,
    name: "editor",
    audience: Audience::Editors,
    lifetime: Lifetime::Exchange,
    origin: Origin::Site,
    process: Process::Main,
    bodies: Bodies::Payload,
    tail: Tail::Plain,
    mounts: &[],
    examples: &[],
};

/// A row that runs workflows: executions last for minutes, bodies carry files, names are secrets.
const TRIGGER: Row = Row {
    lifetime: Lifetime::Stream,
    origin: Origin::Webhooks,
    process: Process::Webhook,
    bodies: Bodies::Files,
    tail: Tail::Secret,
    ..CLOSED
};

/// The table, in the order of [`Surface`].
///
/// Sources: n8n 2.40.7 `abstract-server.js`, `server.js`, `push/index.js`, `chat/chat-server.js`,
/// `modules/oauth-server`, `modules/mcp`, `modules/instance-ai/browser`, and the templates of its
/// public pages.
static TABLE: [Row; 24] = [
    Row {
        // The last four look like other surfaces, and n8n answers them with the editor's page.
        examples: &[
            "/",
            "/signin",
            "/workflow/1",
            "/webhook",
            "/oauth/consent",
            "/api",
            "/healthz/x",
        ],
        ..CLOSED
    },
    Row {
        surface: Surface::Assets,
        name: "assets",
        mounts: &[
            at(Root::Fixed, "assets/**"),
            at(Root::Fixed, "icons/**"),
            at(Root::Fixed, "schemas/**"),
            at(Root::Fixed, "static/**"),
            at(Root::Fixed, "favicon.ico"),
        ],
        examples: &["/assets/index.js", "/icons/n8n-nodes-base/a.svg", "/favicon.ico"],
        ..CLOSED
    },
    Row {
        surface: Surface::PageAssets,
        name: "page-assets",
        audience: Audience::Anyone,
        origin: Origin::Either,
        // The whole list: `oauth-callback.handlebars` and `form-trigger.handlebars` name these,
        // no other template names anything on n8n's own origin.
        mounts: &[at(Root::Fixed, "static/n8n-logo.png"), at(Root::Fixed, "static/og_image.png")],
        examples: &["/static/n8n-logo.png", "/static/og_image.png"],
        ..CLOSED
    },
    Row {
        surface: Surface::Rest,
        name: "rest",
        // Server-sent events of the assistant and of chats live here.
        lifetime: Lifetime::Stream,
        mounts: &[at(Root::Rest, "**"), at(Root::Fixed, "types/**")],
        examples: &["/rest/settings", "/rest/workflows/1/run", "/types/nodes.json"],
        ..CLOSED
    },
    Row {
        surface: Surface::SignIn,
        name: "sign-in",
        mounts: &[
            at(Root::Rest, "login"),
            at(Root::Rest, "logout"),
            at(Root::Rest, "forgot-password"),
            at(Root::Rest, "resolve-password-token"),
            at(Root::Rest, "change-password"),
            at(Root::Rest, "resolve-change-email-token"),
            at(Root::Rest, "confirm-email-change"),
            at(Root::Rest, "resolve-signup-token"),
            at(Root::Rest, "invitations/accept"),
            at(Root::Rest, "owner/setup"),
            at(Root::Rest, "auth/**"),
            at(Root::Rest, "sso/saml/metadata"),
            at(Root::Rest, "sso/saml/acs"),
            at(Root::Rest, "sso/saml/initsso"),
            at(Root::Rest, "sso/oidc/login"),
            at(Root::Rest, "sso/oidc/callback"),
            at(Root::Rest, "sso/oidc/logout"),
        ],
        examples: &["/rest/login", "/rest/owner/setup", "/rest/sso/saml/acs", "/rest/auth/embed"],
        ..CLOSED
    },
    Row {
        surface: Surface::Push,
        name: "push",
        lifetime: Lifetime::Upgrade,
        // A WebSocket only at the exact path; server-sent events below it and in any case.
        mounts: &[upgrade(Root::Rest, "push", Upgrade::Exactly), at(Root::Rest, "push/**")],
        examples: &["/rest/push"],
        ..CLOSED
    },
    Row {
        surface: Surface::BrowserUse,
        name: "browser-use",
        lifetime: Lifetime::Upgrade,
        mounts: &[upgrade(Root::Fixed, "browser-use/*/**", Upgrade::Only)],
        examples: &["/browser-use/extension/s1"],
        ..CLOSED
    },
    Row {
        surface: Surface::OauthCallback,
        name: "oauth-callback",
        audience: Audience::Anyone,
        mounts: &[
            at(Root::Rest, "oauth1-credential/callback"),
            at(Root::Rest, "oauth2-credential/callback"),
        ],
        examples: &["/rest/oauth2-credential/callback", "/rest/oauth1-credential/callback"],
        ..CLOSED
    },
    Row {
        surface: Surface::Agents,
        name: "agents",
        mounts: &[
            at(Root::Rest, "projects/*/agents/v2/*/webhooks/*"),
            at(Root::Rest, "projects/*/agents/v2/*/integrations/slack/oauth/callback"),
        ],
        examples: &["/rest/projects/p1/agents/v2/a1/webhooks/slack"],
        ..CLOSED
    },
    Row {
        surface: Surface::PublicApi,
        name: "public-api",
        // Express takes it in any case; the validator behind it does not (`basePath` of
        // `express-openapi-validator`), and lets what it does not know pass to the editor's page.
        mounts: &[Mount { as_spelled: true, ..at(Root::PublicApi, "v1/**") }],
        examples: &["/api/v1/workflows", "/api/v1/docs"],
        ..CLOSED
    },
    Row {
        surface: Surface::Webhook,
        name: "webhook",
        audience: Audience::Anyone,
        mounts: &[at(Root::Webhook, "*/**")],
        examples: &["/webhook/orders", "/webhook/7f3c/chat"],
        ..TRIGGER
    },
    Row {
        surface: Surface::WebhookTest,
        name: "webhook-test",
        origin: Origin::Either,
        process: Process::Main,
        mounts: &[at(Root::WebhookTest, "*/**")],
        examples: &["/webhook-test/orders"],
        ..TRIGGER
    },
    Row {
        surface: Surface::WebhookWaiting,
        name: "webhook-waiting",
        audience: Audience::Anyone,
        mounts: &[
            at(Root::WebhookWaiting, "*"),
            at(Root::WebhookWaiting, "*/*"),
            // Two routes whose names only begin like the segment (`webhook-waiting-slack`).
            at(Root::WebhookWaiting, "-slack"),
            at(Root::WebhookWaiting, "-telegram"),
        ],
        examples: &["/webhook-waiting/12", "/webhook-waiting/12/yes", "/webhook-waiting-slack"],
        ..TRIGGER
    },
    Row {
        surface: Surface::Form,
        name: "form",
        audience: Audience::Anyone,
        mounts: &[at(Root::Form, "*/**")],
        examples: &["/form/survey"],
        ..TRIGGER
    },
    Row {
        surface: Surface::FormTest,
        name: "form-test",
        origin: Origin::Either,
        process: Process::Main,
        mounts: &[at(Root::FormTest, "*/**")],
        examples: &["/form-test/survey"],
        ..TRIGGER
    },
    Row {
        surface: Surface::FormWaiting,
        name: "form-waiting",
        audience: Audience::Anyone,
        mounts: &[at(Root::FormWaiting, "*"), at(Root::FormWaiting, "*/*")],
        examples: &["/form-waiting/12", "/form-waiting/12/n8n-execution-status"],
        ..TRIGGER
    },
    Row {
        surface: Surface::Mcp,
        name: "mcp",
        process: Process::WebhookSticky,
        mounts: &[at(Root::Mcp, "*/**")],
        examples: &["/mcp/tools", "/mcp/tools/sse"],
        ..TRIGGER
    },
    Row {
        surface: Surface::McpTest,
        name: "mcp-test",
        origin: Origin::Either,
        process: Process::Main,
        mounts: &[at(Root::McpTest, "*/**")],
        examples: &["/mcp-test/tools"],
        ..TRIGGER
    },
    Row {
        surface: Surface::McpServer,
        name: "mcp-server",
        lifetime: Lifetime::Stream,
        mounts: &[at(Root::Fixed, "mcp-server/http")],
        examples: &["/mcp-server/http"],
        ..CLOSED
    },
    Row {
        surface: Surface::OauthServer,
        name: "oauth-server",
        mounts: &[
            at(Root::Fixed, "mcp-oauth/register/**"),
            // What is below these two gets the editor's page, below the others nothing.
            at(Root::Fixed, "mcp-oauth/authorize"),
            at(Root::Fixed, "oauth/authorize"),
            at(Root::Fixed, "mcp-oauth/token/**"),
            at(Root::Fixed, "mcp-oauth/revoke/**"),
            at(Root::Fixed, "oauth/register/**"),
            at(Root::Fixed, "oauth/token/**"),
            at(Root::Fixed, "oauth/revoke/**"),
            at(Root::Fixed, ".well-known/oauth-authorization-server/**"),
            at(Root::Fixed, ".well-known/oauth-protected-resource/**"),
        ],
        examples: &["/mcp-oauth/register", "/oauth/token", "/.well-known/oauth-protected-resource"],
        ..CLOSED
    },
    Row {
        surface: Surface::Chat,
        name: "chat",
        audience: Audience::Anyone,
        lifetime: Lifetime::Upgrade,
        origin: Origin::Webhooks,
        process: Process::WebhookSticky,
        mounts: &[upgrade(Root::Fixed, "chat/**", Upgrade::Only)],
        examples: &["/chat"],
        ..CLOSED
    },
    Row {
        surface: Surface::Health,
        name: "health",
        // Not for nobody: the editor asks for it every ten seconds, and without an answer it calls
        // itself offline and saves no more (`@n8n/editor-ui`, backend connection store; tried).
        mounts: &[at(Root::Health, ""), at(Root::Health, "readiness")],
        examples: &["/healthz", "/healthz/readiness"],
        ..CLOSED
    },
    Row {
        surface: Surface::Metrics,
        name: "metrics",
        audience: Audience::Nobody,
        mounts: &[at(Root::Fixed, "metrics")],
        examples: &["/metrics"],
        ..CLOSED
    },
    Row {
        surface: Surface::Internal,
        name: "internal",
        audience: Audience::Nobody,
        mounts: &[
            at(Root::Rest, "e2e/**"),
            at(Root::Rest, "debug/**"),
            at(Root::Rest, "instance-ai/test/**"),
            at(Root::Rest, "telemetry/**"),
            at(Root::Rest, "ph/**"),
            at(Root::CredentialsOverwrite, "**"),
        ],
        examples: &["/rest/e2e/reset", "/rest/telemetry/proxy/v1/track", "/rest/ph/decide"],
        ..CLOSED
    },
];

/// Requests that may carry files although their surface carries none: surface, path below its
/// first segment.
///
/// Source: n8n `modules/data-table`, `modules/chat-hub`, `public-api` (multer).
pub(crate) const UPLOADS: [(Surface, &str); 3] = [
    (Surface::Rest, "data-tables/uploads"),
    (Surface::Rest, "chat/agents"),
    (Surface::PublicApi, "v1/n8n-packages/import"),
];

impl Surface {
    /// Every surface, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        TABLE.iter().map(|row| row.surface)
    }

    /// How many surfaces there are.
    pub const COUNT: usize = TABLE.len();

    /// What is known of this surface.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in the policy, in metrics and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The surface called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.surface)
    }

    /// Paths of this surface, below its first segment, that take files although the surface's
    /// [`Bodies`] do not.
    pub fn uploads(self) -> impl Iterator<Item = &'static str> {
        UPLOADS.iter().filter(move |(surface, _)| *surface == self).map(|(_, path)| *path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.surface as usize, at, "{}", row.name);
            assert_eq!(Surface::named(row.name), Some(row.surface));
            assert!(!row.examples.is_empty(), "{} has no example", row.name);
        }
    }
}
