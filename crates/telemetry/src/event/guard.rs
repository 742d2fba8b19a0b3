//! Events about signing in, offences and bans. An account is told by a keyed hash alone.

use std::net::IpAddr;

use gateway_policy::{Cut, Jail, Offence, Reason};
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::{Event, by_name};
use crate::{Fail2ban, Level, Metrics, Recent, SignIn, SignInFailure, names::event, recent::now};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn jail<S: Serializer>(jail: &Jail, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(jail.name())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn offence<S: Serializer>(offence: &Offence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(offence.name())
}

/// fail2ban writes single addresses without their length.
fn action(what: &'static str, jail: Jail, net: IpNet) -> Fail2ban {
    let single = net.prefix_len() == net.max_prefix_len();
    let whom = if single { net.addr().to_string() } else { net.to_string() };
    Fail2ban { part: "actions", level: "NOTICE", jail: jail.name(), what, whom }
}

/// There is more or less memory left than before.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPressure {
    /// How much is left: `low` if enough, `high`, or `critical`.
    pub pressure: &'static str,
    /// What the gateway uses, in bytes.
    pub resident: u64,
    /// What it may use, in bytes.
    pub ceiling: u64,
}

impl Event for MemoryPressure {
    const NAME: &'static str = event::MEMORY_PRESSURE;

    fn level(&self) -> Level {
        if self.pressure == "low" { Level::Info } else { Level::Warn }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.memory_pressure(match self.pressure {
            "low" => 0,
            "high" => 1,
            _ => 2,
        });
    }
}

/// A connection was ended although no request was refused.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionCut {
    /// Whose it was.
    pub client: IpAddr,
    /// Why, by name.
    #[serde(serialize_with = "cut")]
    pub reason: Cut,
}

impl Event for ConnectionCut {
    const NAME: &'static str = event::CONNECTION_CUT;

    fn level(&self) -> Level {
        match self.reason.level() {
            gateway_policy::Level::Info => Level::Debug,
            gateway_policy::Level::Warn => Level::Warn,
        }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.cut(self.reason);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn cut<S: Serializer>(cut: &Cut, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cut.name())
}

/// A request passed because the policy, or its rule, is in a dry run.
#[derive(Clone, Debug, Serialize)]
pub struct WouldRefuse {
    /// The request's id.
    pub request_id: String,
    /// Who asked.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// Why it would have been refused.
    #[serde(serialize_with = "by_name")]
    pub reason: Reason,
    /// The rule that would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Event for WouldRefuse {
    const NAME: &'static str = event::WOULD_REFUSE;

    fn count(&self, metrics: &Metrics) {
        metrics.would_refuse(self.surface, self.reason);
    }
}

/// An attempt to sign in failed, or lacked its second factor.
#[derive(Clone, Debug, Serialize)]
pub struct SignInFailed {
    /// The request's id.
    pub request_id: String,
    /// Who tried.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// What was tried: `sign_in`, `mail_token`, `api_key` and so on.
    pub attempt: &'static str,
    /// Why it failed, as an offence.
    #[serde(serialize_with = "offence")]
    pub because: Offence,
    /// The jail that counts it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jail: Option<&'static str>,
    /// How much that jail holds against the client now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The account, as a keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether the client or the device has signed in to it before.
    pub known: bool,
}

impl Event for SignInFailed {
    const NAME: &'static str = event::SIGN_IN_FAILED;

    fn level(&self) -> Level {
        // Whoever has a second factor is asked for it at each sign-in.
        let usual = self.because == Offence::NoSecondFactor;
        if usual { Level::Info } else { Level::Warn }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.sign_in(match self.because {
            Offence::NoSecondFactor => "second_factor_missing",
            Offence::WrongSecondFactor => "second_factor_failed",
            _ => "failed",
        });
    }

    fn keep(&self, recent: &Recent) {
        let failure = SignInFailure {
            attempt: self.attempt,
            because: self.because.name(),
            jail: self.jail,
            count: self.count,
        };
        recent.sign_ins.push(SignIn {
            at: now(),
            request_id: self.request_id.clone(),
            client: self.client,
            surface: self.surface,
            account: self.account.clone(),
            known: self.known,
            failure: Some(failure),
        });
    }
}

/// Somebody signed in.
#[derive(Clone, Debug, Serialize)]
pub struct SignInSucceeded {
    /// The request's id.
    pub request_id: String,
    /// Who.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// The account, as a keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether the client or the device had signed in to it before.
    pub known: bool,
}

impl Event for SignInSucceeded {
    const NAME: &'static str = event::SIGN_IN_SUCCEEDED;

    fn count(&self, metrics: &Metrics) {
        metrics.sign_in("succeeded");
    }

    fn keep(&self, recent: &Recent) {
        recent.sign_ins.push(SignIn {
            at: now(),
            request_id: self.request_id.clone(),
            client: self.client,
            surface: self.surface,
            account: self.account.clone(),
            known: self.known,
            failure: None,
        });
    }
}

/// A right password was shown again and again without its second factor: its owner should change
/// it.
#[derive(Clone, Debug, Serialize)]
pub struct PasswordLeaked {
    /// The request's id.
    pub request_id: String,
    /// Who showed it last.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// The account, as a keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How often.
    pub count: u32,
}

impl Event for PasswordLeaked {
    const NAME: &'static str = event::PASSWORD_LEAKED;

    fn level(&self) -> Level {
        Level::Error
    }

    fn count(&self, metrics: &Metrics) {
        metrics.password_leaked();
    }
}

/// Something is held against a client.
#[derive(Clone, Debug, Serialize)]
pub struct Offended {
    /// The request's id; nothing where there was no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Who.
    pub client: IpAddr,
    /// The surface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// What.
    #[serde(serialize_with = "offence")]
    pub offence: Offence,
    /// The jail that counts it.
    #[serde(serialize_with = "jail")]
    pub jail: Jail,
    /// How much the jail holds against the client now.
    pub count: usize,
    /// How much is too much.
    pub max_retry: u16,
}

impl Event for Offended {
    const NAME: &'static str = event::OFFENCE;

    fn count(&self, metrics: &Metrics) {
        metrics.jail_failed(self.jail);
    }

    fn fail2ban(&self) -> Option<Fail2ban> {
        let (jail, whom) = (self.jail.name(), self.client.to_string());
        Some(Fail2ban { part: "filter", level: "INFO", jail, what: "Found", whom })
    }
}

/// A client is banned.
#[derive(Clone, Debug, Serialize)]
pub struct Banned {
    /// The address or the network.
    pub net: IpNet,
    /// The jail.
    #[serde(serialize_with = "jail")]
    pub jail: Jail,
    /// The surface of the last offence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'static str>,
    /// How many offences it is for.
    pub count: usize,
    /// How long, in seconds.
    pub seconds: u64,
    /// When it ends, in seconds since 1970.
    pub until: i64,
    /// The client's how manyth ban it is.
    pub nth: u32,
    /// Who did it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in that person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Event for Banned {
    const NAME: &'static str = event::BANNED;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.jail_banned(self.jail);
    }

    fn fail2ban(&self) -> Option<Fail2ban> {
        Some(action("Ban", self.jail, self.net))
    }
}

/// A client would be banned, but the jail or the policy is in a dry run.
#[derive(Clone, Debug, Serialize)]
pub struct WouldBan {
    /// The client's key.
    pub client: IpAddr,
    /// The jail.
    #[serde(serialize_with = "jail")]
    pub jail: Jail,
    /// How many offences it would be for.
    pub count: usize,
    /// How long, in seconds.
    pub seconds: u64,
}

impl Event for WouldBan {
    const NAME: &'static str = event::WOULD_BAN;

    fn level(&self) -> Level {
        Level::Warn
    }

    fn count(&self, metrics: &Metrics) {
        metrics.jail_would_ban(self.jail);
    }
}

/// A ban has ended.
#[derive(Clone, Debug, Serialize)]
pub struct Unbanned {
    /// The address or the network.
    pub net: IpNet,
    /// The jail.
    #[serde(serialize_with = "jail")]
    pub jail: Jail,
    /// How many offences it told of, if it told of any and they are remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// `time` or `operator`.
    pub because: &'static str,
    /// Who did it by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in that person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Event for Unbanned {
    const NAME: &'static str = event::UNBANNED;

    fn fail2ban(&self) -> Option<Fail2ban> {
        Some(action("Unban", self.jail, self.net))
    }
}

/// What is remembered cannot be read or written. It is enforced from memory, and tried again.
#[derive(Clone, Debug, Serialize)]
pub struct StateWriteFailed {
    /// Why not.
    pub error: String,
    /// Whether it is the first failure after it worked.
    pub first: bool,
}

impl Event for StateWriteFailed {
    const NAME: &'static str = event::STATE_WRITE_FAILED;

    fn level(&self) -> Level {
        if self.first { Level::Error } else { Level::Debug }
    }

    fn count(&self, metrics: &Metrics) {
        metrics.state_write_failed();
    }
}

/// What is remembered is written again, all of it.
#[derive(Clone, Debug, Serialize)]
pub struct StateRecovered {}

impl Event for StateRecovered {
    const NAME: &'static str = event::STATE_RECOVERED;
}

/// nftables could not be told of bans; they are enforced all the same.
#[derive(Clone, Debug, Serialize)]
pub struct NftablesFailed {
    /// Why not.
    pub error: String,
}

impl Event for NftablesFailed {
    const NAME: &'static str = event::NFTABLES_FAILED;

    fn level(&self) -> Level {
        Level::Error
    }
}
