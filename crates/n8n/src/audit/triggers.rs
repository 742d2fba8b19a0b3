//! Triggers in production that can be called from outside.

use super::{Node, Observed, Verdict, Workflow, observed::DAY};

/// A kind of trigger that n8n serves under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Webhook,
    Form,
    Chat,
    Mcp,
}

/// The node types that take calls from anybody unless they are told otherwise. Triggers of single
/// services check the sender themselves.
///
/// Source: n8n 2.40.7, `nodes-base` Webhook, Form; `n8n-nodes-langchain` ChatTrigger, McpTrigger.
const KINDS: [(&str, Kind); 4] = [
    ("n8n-nodes-base.webhook", Kind::Webhook),
    ("n8n-nodes-base.formTrigger", Kind::Form),
    ("@n8n/n8n-nodes-langchain.chatTrigger", Kind::Chat),
    ("@n8n/n8n-nodes-langchain.mcpTrigger", Kind::Mcp),
];

/// A trigger and where it is.
struct Trigger<'o> {
    kind: Kind,
    workflow: &'o Workflow,
    node: &'o Node,
}

impl Trigger<'_> {
    /// Whether n8n lets in whoever calls it.
    fn is_open(&self) -> bool {
        let none = self.node.authentication.as_deref().is_none_or(|it| it == "none");
        none && !self.node.allowlisted
    }

    /// Its path below n8n's root, as n8n makes it of its parameters.
    fn path(&self) -> Option<String> {
        let id = self.node.webhook_id.as_deref();
        let path = self.node.path.as_deref().map(|it| it.trim_matches('/'));
        let path = path.filter(|it| !it.is_empty());
        match self.kind {
            // A path with parameters stands below the webhook's id.
            Kind::Webhook => match path.or(id)? {
                dynamic if dynamic.split('/').any(|it| it.starts_with(':')) => {
                    Some(format!("/webhook/{}/{dynamic}", id?))
                }
                fixed => Some(format!("/webhook/{fixed}")),
            },
            Kind::Form => Some(format!("/form/{}", path.or(id)?)),
            Kind::Chat => Some(format!("/webhook/{}/chat", id?)),
            Kind::Mcp => Some(format!("/mcp/{}", path.or(id)?)),
        }
    }

    fn told(&self) -> String {
        format!("`{}` in workflow `{}`", self.node.name, self.workflow.name)
    }
}

fn in_production(workflows: &[Workflow]) -> impl Iterator<Item = Trigger<'_>> {
    let active = workflows.iter().filter(|it| it.active);
    active.flat_map(|workflow| {
        workflow.nodes.iter().filter(|it| !it.disabled).filter_map(move |node| {
            let (_, kind) = KINDS.into_iter().find(|(name, _)| *name == node.kind)?;
            // Nobody but the editor may speak to a chat that is not public.
            let served = kind != Kind::Chat || node.public;
            served.then_some(Trigger { kind, workflow, node })
        })
    })
}

/// Triggers that let anybody in, whom the gateway lets through to them, and whose senders it does not
/// check either.
fn open_to_anybody<'o>(
    seen: &'o Observed,
    workflows: &'o [Workflow],
) -> impl Iterator<Item = Trigger<'o>> {
    in_production(workflows).filter(move |it| {
        let path = it.path();
        it.is_open() && path.is_none_or(|path| is_reached(seen, &path) && !is_checked(seen, &path))
    })
}

fn is_reached(seen: &Observed, path: &str) -> bool {
    let rules = seen.reach.iter().filter(|it| is_below(path, &it.path));
    let longest = rules.max_by_key(|it| it.path.split('/').count());
    longest.is_none_or(|it| it.anyone)
}

fn is_checked(seen: &Observed, path: &str) -> bool {
    seen.checked.iter().any(|it| is_below(path, it))
}

/// Whether `path` is what a line of the policy names, or below it.
fn is_below(path: &str, named: &str) -> bool {
    let mut segments = path.split('/');
    named
        .trim_end_matches('/')
        .split('/')
        .all(|name| segments.next().is_some_and(|it| name == "*" || name == it))
}

fn open(seen: &Observed, kind: Kind) -> Verdict {
    Verdict::of(&seen.workflows, |workflows| {
        let open = open_to_anybody(seen, workflows).filter(|it| it.kind == kind);
        Verdict::found_in(open.map(|it| it.told()).collect())
    })
}

pub(super) fn open_webhooks(seen: &Observed) -> Verdict {
    open(seen, Kind::Webhook)
}

pub(super) fn open_forms(seen: &Observed) -> Verdict {
    open(seen, Kind::Form)
}

pub(super) fn open_chats(seen: &Observed) -> Verdict {
    open(seen, Kind::Chat)
}

pub(super) fn open_mcp(seen: &Observed) -> Verdict {
    open(seen, Kind::Mcp)
}

pub(super) fn guessable(seen: &Observed) -> Verdict {
    Verdict::of(&seen.workflows, |workflows| {
        let open = open_to_anybody(seen, workflows);
        // Its path is no secret: that is what is wrong with it.
        let told = open.filter_map(|it| {
            let path = it.path().filter(|path| is_guessable(path))?;
            Some(format!("{path}: {}", it.told()))
        });
        Verdict::found_in(told.collect())
    })
}

/// Whether no part of a path looks as if it was drawn by lot: a UUID, as n8n draws it, or long enough
/// and changing between digits and letters (or their cases) more often than words with a number do.
fn is_guessable(path: &str) -> bool {
    const LONG: usize = 16;
    const CHANGES: usize = 5;
    let class = |c: char| (c.is_ascii_digit(), c.is_ascii_uppercase());
    let drawn = |segment: &str| {
        let all: Vec<_> = segment.chars().filter(char::is_ascii_alphanumeric).collect();
        let changes = all.iter().zip(all.iter().skip(1)).filter(|(a, b)| class(**a) != class(**b));
        all.len() >= LONG && changes.count() >= CHANGES
    };
    let uuid = |segment: &str| {
        let parts: Vec<_> = segment.split('-').map(str::len).collect();
        let hexadecimal = |it: char| it.is_ascii_hexdigit() || it == '-';
        parts == [8, 4, 4, 4, 12] && segment.chars().all(hexadecimal)
    };
    !path.split('/').any(|it| uuid(it) || drawn(it))
}

pub(super) fn not_called(seen: &Observed) -> Verdict {
    let calls = match &seen.calls {
        Ok(calls) => calls,
        Err(why) => return Verdict::Unknown(why.clone()),
    };
    Verdict::of(&seen.workflows, |workflows| {
        let Some(counted) = calls.iter().map(|it| it.first).min() else {
            return Verdict::Unknown("the gateway has not seen any webhook called yet".to_owned());
        };
        let told = in_production(workflows).filter_map(|it| {
            let path = it.path()?;
            let last = calls.iter().filter(|call| same(&call.path, &path)).map(|it| it.last).max();
            // One that is new has had no time to be called, and what was called before somebody
            // counted is not known.
            let since = last.or_else(|| Some(it.workflow.updated?.max(counted)))?;
            let idle = seen.now - since;
            (idle > seen.bounds.unused).then(|| format!("{}, for {} days", it.told(), idle / DAY))
        });
        Verdict::found_in(told.collect())
    })
}

/// Whether a call of `called` is one of the trigger at `path`, parameters and what stands below it
/// (pages of forms, ways of MCP) included.
fn same(called: &str, path: &str) -> bool {
    let fixed = path.split("/:").next().unwrap_or(path);
    let rest = called.strip_prefix(fixed);
    rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

pub(super) fn packages(seen: &Observed) -> Verdict {
    // Where they are switched off, none runs and n8n does not tell of them.
    if seen.settings.as_ref().is_ok_and(|it| !it.community_nodes) && seen.packages.is_err() {
        return Verdict::Fine;
    }
    Verdict::of(&seen.packages, |all| {
        Verdict::found_in(all.iter().map(|it| format!("{} {}", it.name, it.version)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_guessable_unless_it_was_drawn_by_lot() {
        for (path, guessable) in [
            ("/webhook/orders", true),
            ("/webhook/my-company-order-webhook-2024-v1", true),
            ("/webhook/test/123456789012345678", true),
            ("/webhook/6a1f4c3e-93c1-4f0e-8a57-0d6c1f2b7e90", false),
            ("/webhook/6a1f4c3e-93c1-4f0e-8a57-0d6c1f2b7e90/:id", false),
            ("/webhook/44444444-4444-4444-8444-444444444444/chat", false),
            ("/webhook/V1StGXR8Z5jdHi6BmyT", false),
            ("/form/a1", true),
        ] {
            assert_eq!(is_guessable(path), guessable, "{path}");
        }
    }

    #[test]
    fn a_line_of_the_policy_is_about_what_is_below_it() {
        for (path, named, is) in [
            ("/webhook/orders", "/webhook", true),
            ("/webhook/orders", "/webhook/", true),
            ("/webhook/orders/new", "/webhook/orders", true),
            ("/webhook/orders/new", "/webhook/*/new", true),
            ("/webhook/orders", "/webhook/*/new", false),
            ("/webhook/orders2", "/webhook/orders", false),
        ] {
            assert_eq!(is_below(path, named), is, "{path} {named}");
        }
    }

    #[test]
    fn a_call_below_a_trigger_is_the_triggers() {
        assert!(same("/webhook/a/7", "/webhook/a/:id"));
        assert!(same("/form/a", "/form/a") && same("/form/a/x", "/form/a"));
        assert!(!same("/form/ab", "/form/a"));
    }
}
