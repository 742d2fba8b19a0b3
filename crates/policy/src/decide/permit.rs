//! What a decision is: a permit, or a refusal.

use std::sync::Arc;

use gateway_n8n::{AddressForm, Attempt, Lifetime, PasswordForm, Process, Surface, answer::Author};
use http::HeaderValue;

use crate::{
    AttackId, Client, Limit, Offence, Reason, Source, Suspected, Webhook,
    accounts::{Charge, Consequence},
};

/// That a request may pass, and how. Only [`crate::Policy::decide`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) surface: Surface,
    pub(super) authority: HeaderValue,
    pub(super) body_limit: u64,
    pub(super) upgrade: bool,
    pub(super) key: Client,
    pub(super) limits: Arc<[Limit]>,
    pub(super) charges: Vec<Charge>,
    pub(super) path_key: Option<String>,
    pub(super) attempt: Option<Attempt>,
    pub(super) session: bool,
    pub(super) offence: Option<Offence>,
    pub(super) author: Author,
    pub(super) attacks: Option<Box<Suspected>>,
    pub(super) would: Option<Refusal>,
    pub(super) new_password: Option<&'static PasswordForm>,
    pub(super) addresses: Option<&'static AddressForm>,
    pub(super) consequence: Consequence,
    pub(super) webhook: Option<(Arc<Webhook>, Source)>,
}

/// That a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The surface that was asked for, if that far was come.
    pub surface: Option<Surface>,
    /// What of the policy refused it, if a rule did.
    pub source: Option<Source>,
    /// What is held against the client for it, if anything is.
    pub offence: Option<Offence>,
    /// Which attack it is, if it is refused for one.
    pub attack: Option<AttackId>,
}

impl Refusal {
    /// A refusal, with the offence that its reason is on that surface.
    #[must_use]
    pub fn new(reason: Reason, surface: Option<Surface>, source: Option<Source>) -> Self {
        Self { reason, surface, source, offence: reason.offence(surface), attack: None }
    }
}

/// A decision.
pub type Verdict = Result<Permit, Refusal>;

impl Permit {
    /// The surface that may be reached.
    #[must_use]
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// How long the exchange may live.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        match (self.surface.row().lifetime, self.upgrade) {
            // Without an upgrade the same surfaces answer with streams.
            (Lifetime::Upgrade, false) => Lifetime::Stream,
            (lifetime, _) => lifetime,
        }
    }

    /// Which n8n process serves it in queue mode.
    #[must_use]
    pub fn process(&self) -> Process {
        self.surface.row().process
    }

    /// The public host as the policy spells it, with the port that the client used.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The largest body in bytes.
    #[must_use]
    pub fn body_limit(&self) -> u64 {
        self.body_limit
    }

    /// Whether the request may become a WebSocket.
    #[must_use]
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// Who may pass.
    #[must_use]
    pub fn client(&self) -> Client {
        self.key
    }

    /// What it has to keep to.
    #[must_use]
    pub fn limits(&self) -> &Arc<[Limit]> {
        &self.limits
    }

    /// What the use of the API keys that are shown is charged to.
    #[must_use]
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// The path, as n8n tells it from others, if a limit asks for it.
    #[must_use]
    pub fn path_key(&self) -> Option<&str> {
        self.path_key.as_deref()
    }

    /// What it tries to prove, if it tries anything.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        self.attempt
    }

    /// Whether anybody asks about more than its head: about its body, or about n8n's answer.
    #[must_use]
    pub fn is_asked_about(&self) -> bool {
        let of_body = |it: &Suspected| !it.asked.is_empty();
        let proof = self.webhook.as_ref().is_some_and(|(webhook, _)| webhook.proof.is_some());
        let account = self.new_password.is_some() || self.addresses.is_some();
        self.attempt.is_some() || account || proof || self.attacks().is_some_and(of_body)
    }

    /// Whether 200 or 304 in answer shows that n8n took the client's session for good.
    #[must_use]
    pub fn could_show_session(&self) -> bool {
        self.session
    }

    /// What is held against the client although it passes: n8n has nothing there.
    #[must_use]
    pub fn offence(&self) -> Option<Offence> {
        self.offence
    }

    /// The form that is sent, if it sets a password that has to be something.
    #[must_use]
    pub fn new_password(&self) -> Option<&'static PasswordForm> {
        self.new_password
    }

    /// The form that is sent, if it names addresses that have to be looked at.
    #[must_use]
    pub fn addresses(&self) -> Option<&'static AddressForm> {
        self.addresses
    }

    /// Whether its answer has to tell the editor that a second factor is insisted on.
    #[must_use]
    pub fn leads_to_second_factor(&self) -> bool {
        self.consequence.leads
    }

    /// Whether the session that is shown is over, or used from where it must not be.
    #[must_use]
    pub fn voids_session(&self) -> bool {
        self.consequence.void
    }

    /// Whether n8n must not see the session that is shown.
    #[must_use]
    pub fn withholds_session(&self) -> bool {
        self.consequence.withheld
    }

    /// Who has a hand in the answer.
    #[must_use]
    pub fn author(&self) -> Author {
        self.author
    }

    /// Which attacks its head tells of, and its body is to be held against.
    #[must_use]
    pub fn attacks(&self) -> Option<&Suspected> {
        self.attacks.as_deref()
    }

    /// What is asked of it as the call of a webhook, and by which line.
    #[must_use]
    pub fn webhook(&self) -> Option<(&Arc<Webhook>, Source)> {
        self.webhook.as_ref().map(|(webhook, source)| (webhook, *source))
    }

    /// Why it would not pass if the policy were in force and not only told.
    #[must_use]
    pub fn would(&self) -> Option<Refusal> {
        self.would
    }
}
