//! The table of checks.

use super::{Check, Level, Theme, accounts, executions, host, instance, triggers, variables};

const SURFACE: &str = "n8n 2.40.7, asked while it ran";
const CONFIG: &str = "n8n 2.40.7, @n8n/config";
const API: &str = "n8n 2.40.7, public API";

/// Every check, by its place on the checklist.
#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    // What n8n does when it is asked.
    Check {
        id: "unclaimed", theme: Theme::Users, level: Level::Critical,
        title: "n8n has no owner yet",
        why: "Whoever asks first owns it, with every credential that is put into it.",
        change: "open https://{host}/setup and claim it now", source: SURFACE,
        judge: instance::unclaimed,
    },
    Check {
        id: "node-env", theme: Theme::LeastPrivilege, level: Level::High,
        title: "n8n runs in development mode",
        why: "Any site may read n8n's answers with a visitor's session, errors show paths of the machine, attempts \
              to sign in are not limited and the push channel takes any origin. n8n from npm runs so unless told \
              otherwise.",
        change: "NODE_ENV=production", source: "n8n 2.40.7, @n8n/backend-common environment.js; asked while it ran",
        judge: instance::development,
    },
    Check {
        id: "push-origin", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "n8n limits no sign-ins and compares no origins at its push channel",
        why: "A page of somebody else's may listen to what the editor is told, and n8n itself holds nobody up who \
              guesses passwords. Any NODE_ENV but `production` does this.",
        change: "NODE_ENV=production", source: "n8n 2.40.7, push/index.js, controller.registry.js",
        judge: instance::no_production,
    },
    Check {
        id: "proxy-hops", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "n8n believes another number of proxies than there is",
        why: "With none, all clients share the gateway's address and n8n's limits, and a webhook's list of addresses \
              is of no use. With more than one, whoever reaches n8n past the gateway chooses an address.",
        change: "N8N_PROXY_HOPS=1", source: "n8n 2.40.7, Webhook/utils.js isIpAllowed; asked while it ran",
        judge: instance::hops,
    },
    Check {
        id: "answers-elsewhere", theme: Theme::ClosedPorts, level: Level::High,
        title: "n8n is reached past the gateway",
        why: "n8n listens on every interface unless told otherwise: whoever can reach this machine's port needs no \
              gateway.",
        change: "N8N_LISTEN_ADDRESS=127.0.0.1 (in Docker: publish no port of n8n's)", source: SURFACE,
        judge: instance::answers_elsewhere,
    },
    Check {
        id: "base-url", theme: Theme::Https, level: Level::Low,
        title: "n8n believes it is reached under another address",
        why: "Links in its mails, OAuth callbacks and webhook addresses lead to nowhere, or past HTTPS.",
        change: "N8N_EDITOR_BASE_URL=https://{host}/ and N8N_WEBHOOK_URL=https://{host}/",
        source: "n8n 2.40.7, services/url.service.js", judge: instance::base_url,
    },
    Check {
        id: "cookie-secure", theme: Theme::Https, level: Level::High,
        title: "the session's cookie is sent without HTTPS, too",
        why: "Whoever listens on the way has the session.",
        change: "N8N_SECURE_COOKIE=true (or leave it out)", source: SURFACE, judge: instance::cookie,
    },
    Check {
        id: "cookie-same-site", theme: Theme::Https, level: Level::Medium,
        title: "other sites' pages send the session's cookie",
        why: "A page of somebody else's can act in n8n as whoever visits it.",
        change: "N8N_SAMESITE_COOKIE=lax", source: CONFIG, judge: variables::same_site,
    },
    Check {
        id: "preview-mode", theme: Theme::LeastPrivilege, level: Level::High,
        title: "n8n is in preview mode",
        why: "Its pages may be framed by anybody, and node types are told without a session.",
        change: "N8N_PREVIEW_MODE=false (or leave it out)", source: SURFACE, judge: instance::preview,
    },
    Check {
        id: "password-length", theme: Theme::Passwords, level: Level::Low,
        title: "short passwords will do",
        why: "Eight characters are guessed from a leaked hash within days.",
        change: "N8N_PASSWORD_MIN_LENGTH=12", source: CONFIG, judge: instance::passwords,
    },
    Check {
        id: "metrics-open", theme: Theme::ClosedPorts, level: Level::Medium,
        title: "n8n's metrics are open to anybody",
        why: "They tell of workflows, versions and load, without any sign-in.",
        change: "access: { metrics: nobody } in the gateway's policy", source: SURFACE, judge: instance::metrics_open,
    },
    Check {
        id: "api-docs-open", theme: Theme::ClosedPorts, level: Level::Medium,
        title: "the pages about n8n's public API are open to anybody",
        why: "They tell strangers that this is n8n, and the routes to try keys at.",
        change: "access: { public-api: [...] } in the gateway's policy, or N8N_PUBLIC_API_SWAGGERUI_DISABLED=true",
        source: SURFACE, judge: instance::docs_open,
    },
    Check {
        id: "open-surfaces", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "the gateway's policy opens to anybody what is not for everybody",
        why: "Every attack that needs the editor or the API starts by reaching it.",
        change: "name networks under `access` in the gateway's policy", source: "the gateway's policy",
        judge: instance::open_surfaces,
    },
    Check {
        id: "metrics-served", theme: Theme::LeastPrivilege, level: Level::Info,
        title: "n8n serves its metrics without asking who wants them",
        why: "Whoever reaches n8n's port reads them; the gateway shows them to nobody unless its policy says so.",
        change: "N8N_METRICS=false, if nobody reads them", source: SURFACE, judge: instance::metrics_served,
    },
    Check {
        id: "known-attacks", theme: Theme::Release, level: Level::High,
        title: "attacks are known on this release of n8n",
        why: "Scanners try them within days of their publication. What the gateway stops of them it stops on its own \
              way alone, and some cannot be told from honest requests.",
        change: "update n8n; until then `attacks: { mode: auto }` in the gateway's policy",
        source: "the catalogue of known attacks", judge: instance::known_attacks,
    },
    Check {
        id: "community-nodes-allowed", theme: Theme::LeastPrivilege, level: Level::Low,
        title: "packages of the community's may be installed from the editor",
        why: "They run with n8n's rights, so a stolen session of an admin's is a shell on the machine.",
        change: "N8N_COMMUNITY_PACKAGES_ENABLED=false, or access: { rest/community-packages: nobody }",
        source: SURFACE, judge: instance::community,
    },
    // Accounts.
    Check {
        id: "second-factor", theme: Theme::SecondFactor, level: Level::High,
        title: "accounts have no second factor",
        why: "A password that leaked elsewhere is enough to read every credential.",
        change: "accounts: { require_mfa: true } in the gateway's policy, or Settings > Personal > Enable 2FA",
        source: API, judge: accounts::second_factor,
    },
    Check {
        id: "pending-invitations", theme: Theme::Users, level: Level::Low,
        title: "invitations wait that nobody has accepted",
        why: "Whoever finds the mail gets the account.",
        change: "Settings > Users: delete those that are not needed any more", source: API, judge: accounts::pending,
    },
    Check {
        id: "many-admins", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "many accounts may do everything",
        why: "Each of them is a way to every credential and every setting.",
        change: "Settings > Users: make members of those who need no more", source: API, judge: accounts::admins,
    },
    Check {
        id: "unused-accounts", theme: Theme::Users, level: Level::Medium,
        title: "accounts are not used by anybody",
        why: "Nobody notices if somebody else uses them.",
        change: "Settings > Users: delete them", source: "n8n 2.40.7, last-active-at.service.js; public API",
        judge: accounts::unused,
    },
    // Triggers.
    Check {
        id: "open-mcp", theme: Theme::LeastPrivilege, level: Level::High,
        title: "MCP triggers take calls from anybody",
        why: "Whoever finds the address runs its tools.",
        change: "set Authentication in the node", source: API, judge: triggers::open_mcp,
    },
    Check {
        id: "open-webhooks", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "webhooks take calls from anybody",
        why: "Whoever finds the address runs the workflow, with what they like in it.",
        change: "set Authentication in the node, or check the sender's signature under `webhooks` in the gateway's policy",
        source: API, judge: triggers::open_webhooks,
    },
    Check {
        id: "open-chats", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "public chats take anybody",
        why: "Whoever finds the address talks to the model at your cost, and tries what it may be made to do.",
        change: "set Authentication in the node", source: API, judge: triggers::open_chats,
    },
    Check {
        id: "open-forms", theme: Theme::LeastPrivilege, level: Level::Low,
        title: "forms take anybody",
        why: "A form for everybody is meant so; any other is not.",
        change: "set Authentication in the node, or access: { form/NAME: [...] } in the gateway's policy",
        source: API, judge: triggers::open_forms,
    },
    Check {
        id: "guessable-paths", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "open triggers have paths that can be guessed",
        why: "The path is all that keeps strangers out of them, and scanners try words.",
        change: "set Authentication, or the path that n8n draws by lot", source: API, judge: triggers::guessable,
    },
    Check {
        id: "unused-triggers", theme: Theme::UnusedWorkflows, level: Level::Low,
        title: "triggers in production are not called by anybody",
        why: "What nobody needs can only be misused.",
        change: "unpublish the workflow", source: "the gateway's inventory of webhooks", judge: triggers::not_called,
    },
    Check {
        id: "community-nodes", theme: Theme::LeastPrivilege, level: Level::Low,
        title: "packages of the community's are installed",
        why: "They run with n8n's rights and see the credentials that they are given; nobody but you looks at their updates.",
        change: "Settings > Community nodes: uninstall what is not needed", source: API, judge: triggers::packages,
    },
    // What ran.
    Check {
        id: "odd-changes", theme: Theme::Executions, level: Level::Low,
        title: "workflows were changed when nobody works",
        why: "It may be a late hour, or somebody else.",
        change: "ask whoever works on it; Workflow history shows what was changed", source: API,
        judge: executions::odd_changes,
    },
    Check {
        id: "odd-runs", theme: Theme::Executions, level: Level::Low,
        title: "workflows were started by hand when nobody works",
        why: "It may be a late hour, or somebody else.",
        change: "look at these executions", source: API, judge: executions::odd_runs,
    },
    Check {
        id: "odd-failures", theme: Theme::Executions, level: Level::Low,
        title: "workflows failed when they were started in another way than usual",
        why: "Somebody may be trying what a trigger does.",
        change: "look at these executions", source: API, judge: executions::odd_failures,
    },
    // n8n's environment.
    Check {
        id: "e2e-tests", theme: Theme::LeastPrivilege, level: Level::Critical,
        title: "n8n's routes for its own tests are on",
        why: "They empty the database for whoever asks, without any sign-in.",
        change: "leave out E2E_TESTS", source: CONFIG, judge: variables::end_to_end_tests,
    },
    Check {
        id: "env-access", theme: Theme::LeastPrivilege, level: Level::High,
        title: "workflows may read n8n's environment",
        why: "Whoever may edit a workflow reads the encryption key and the database's password.",
        change: "N8N_BLOCK_ENV_ACCESS_IN_NODE=true (or leave it out)", source: "n8n 2.40.7, n8n-workflow expression.js",
        judge: variables::environment,
    },
    Check {
        id: "file-access", theme: Theme::LeastPrivilege, level: Level::High,
        title: "workflows may read and write files of the machine",
        why: "Whoever may edit a workflow reads n8n's own files and database, and with them every session.",
        change: "N8N_RESTRICT_FILE_ACCESS_TO=~/.n8n-files and N8N_BLOCK_FILE_ACCESS_TO_N8N_FILES=true",
        source: "n8n 2.40.7, security.config.js", judge: variables::files,
    },
    Check {
        id: "command-nodes", theme: Theme::LeastPrivilege, level: Level::High,
        title: "workflows may run commands on the machine",
        why: "Whoever may edit a workflow has a shell.",
        change: "leave out NODES_EXCLUDE, or keep executeCommand and localFileTrigger in it",
        source: "n8n 2.40.7, nodes.config.js", judge: variables::nodes,
    },
    Check {
        id: "oauth-callback", theme: Theme::LeastPrivilege, level: Level::High,
        title: "OAuth callbacks are taken without a session",
        why: "A stranger can put a credential of their own in the place of yours (CVE-2026-33720).",
        change: "N8N_SKIP_AUTH_ON_OAUTH_CALLBACK=false (or leave it out)", source: CONFIG,
        judge: variables::oauth_callback,
    },
    Check {
        id: "git-hooks", theme: Theme::LeastPrivilege, level: Level::High,
        title: "the Git node runs what a repository tells it to",
        why: "A repository's hooks and settings are commands on the machine.",
        change: "leave out N8N_GIT_NODE_ENABLE_HOOKS, N8N_GIT_NODE_ENABLE_ALL_CONFIG_KEYS and N8N_GIT_NODE_DISABLE_BARE_REPOS",
        source: "n8n 2.40.7, security.config.js", judge: variables::git,
    },
    Check {
        id: "runners", theme: Theme::LeastPrivilege, level: Level::High,
        title: "code of workflows runs without its walls, or its broker is reached from elsewhere",
        why: "Code in a workflow gets at n8n itself, or somebody else's runner gets the code.",
        change: "N8N_RUNNERS_INSECURE_MODE=false and N8N_RUNNERS_BROKER_LISTEN_ADDRESS=127.0.0.1",
        source: "n8n 2.40.7, runners.config.js", judge: variables::runners,
    },
    Check {
        id: "html-sandbox", theme: Theme::LeastPrivilege, level: Level::High,
        title: "pages of workflows run as pages of n8n's own",
        why: "A script in an answer of a webhook or a form acts as whoever looks at it.",
        change: "leave out N8N_INSECURE_DISABLE_WEBHOOK_IFRAME_SANDBOX and N8N_INSECURE_DISABLE_FORM_HTML_SANDBOX",
        source: "n8n 2.40.7, security.config.js", judge: variables::sandbox,
    },
    Check {
        id: "expression-engine", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "expressions run in n8n's old engine",
        why: "Most ways out of an expression to the machine were found in it.",
        change: "N8N_EXPRESSION_ENGINE=vm (or leave it out)", source: "n8n 2.40.7, expression-engine.config.js",
        judge: variables::expressions,
    },
    Check {
        id: "settings-permissions", theme: Theme::Secrets, level: Level::Medium,
        title: "n8n does not look at its settings file's permissions",
        why: "The file holds the key to every credential.",
        change: "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS=true (or leave it out)", source: "n8n-core, instance-settings.js",
        judge: variables::settings_permissions,
    },
    Check {
        id: "unknown-variables", theme: Theme::LeastPrivilege, level: Level::Medium,
        title: "variables are set that n8n does not know",
        why: "They protect nothing: whoever set them believes otherwise.",
        change: "leave them out; the gateway's policy does what they promised", source: "n8n 2.40.7: no such variable",
        judge: variables::not_n8ns,
    },
    Check {
        id: "ssrf-protection", theme: Theme::LeastPrivilege, level: Level::Low,
        title: "workflows may call addresses of the machine's own network",
        why: "A workflow that takes an address from outside becomes a way in: to the cloud's metadata, to databases.",
        change: "N8N_SSRF_PROTECTION_ENABLED=true", source: "n8n 2.40.7, ssrf-protection.config.js", judge: variables::ssrf,
    },
    Check {
        id: "unverified-packages", theme: Theme::LeastPrivilege, level: Level::Low,
        title: "packages that n8n has not looked at may be installed",
        why: "Anybody can publish one.",
        change: "N8N_UNVERIFIED_PACKAGES_ENABLED=false", source: "n8n 2.40.7, community-packages.config.js",
        judge: variables::unverified_packages,
    },
    Check {
        id: "diagnostics", theme: Theme::LeastPrivilege, level: Level::Info,
        title: "n8n tells its maker how it is used",
        why: "Its public pages also hand on calls to ph.n8n.io for anybody.",
        change: "N8N_DIAGNOSTICS_ENABLED=false", source: "n8n 2.40.7, diagnostics.config.js", judge: variables::diagnostics,
    },
    // The machine.
    Check {
        id: "settings-file", theme: Theme::Secrets, level: Level::High,
        title: "n8n's settings file is readable by others",
        why: "It holds the key to every credential, and with the database every session.",
        change: "chmod 600 on it", source: "n8n-core 2.40.7, instance-settings.js", judge: host::settings_file,
    },
    Check {
        id: "data-folder", theme: Theme::Secrets, level: Level::Medium,
        title: "n8n's data directory is open to others",
        why: "The database in it holds accounts, executions and what they worked on.",
        change: "chmod 700 on it", source: "the directory", judge: host::data,
    },
    Check {
        id: "env-file-mode", theme: Theme::Secrets, level: Level::High,
        title: "a file with n8n's environment is readable by others",
        why: "Every account on this machine, and every program under it, reads what is in it.",
        change: "chmod 600 on it", source: "the file", judge: host::env_mode,
    },
    Check {
        id: "env-file-git", theme: Theme::Secrets, level: Level::High,
        title: "a file with n8n's environment is under version control",
        why: "Whoever ever gets the repository has what was ever in it.",
        change: "git rm --cached on it, its name into .gitignore, and new secrets", source: "the repository",
        judge: host::env_in_git,
    },
    Check {
        id: "env-file-secrets", theme: Theme::Secrets, level: Level::Low,
        title: "secrets stand in clear in a file with n8n's environment",
        why: "Environments are shown by `docker inspect`, by crash reports and by every program that n8n starts.",
        change: "NAME_FILE=/run/secrets/… in place of NAME=…", source: "n8n 2.40.7, @n8n/config decorators.js",
        judge: host::env_secrets,
    },
    Check {
        id: "backup", theme: Theme::Backups, level: Level::High,
        title: "there is no new backup",
        why: "What an attacker or a disk takes is gone; without the encryption key, so are all credentials.",
        change: "n8n export:entities --outputDir=… each night, and the encryption key apart from it",
        source: "what the policy names under `audit.backup`", judge: host::backup,
    },
];
