//! What is asked of n8n's API keys.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use gateway_n8n::{Located, Surface, only_reads, resource};

use super::{History, NewNetwork};
use crate::{Limit, Login, Network, Question, Reason, Refusal, Source, Step, Steps};

/// The SHA-256 of a key: what it is called by, since the key itself stands nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// What is written in front of a fingerprint.
const SHA256: &str = "sha256:";

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA256)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix(SHA256).ok_or(())?;
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| {
            let text = str::from_utf8(pair).ok().filter(|it| !it.starts_with('+'))?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.filter(|_| rest.is_empty()).ok_or(())?;
        bytes.try_into().map(Self).map_err(|_| ())
    }
}

/// A key that a request shows, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    /// What it is called by.
    pub fingerprint: Fingerprint,
    /// Whose it says it is, by n8n's own id.
    pub user: Option<String>,
    /// What is remembered of it, if n8n has taken it before.
    pub history: Option<History>,
}

/// What is asked of one key.
#[derive(Clone, Debug)]
pub struct KeyRule {
    /// From where it may be used; from anywhere if nothing is said.
    pub networks: Option<Vec<Arc<Network>>>,
    /// Whether it may change nothing.
    pub read_only: bool,
    /// Which resources of the public API it may ask for, in lower case; all if nothing is said.
    pub resources: Option<Vec<String>>,
    /// How often it may be used.
    pub rate: Option<Limit>,
    /// What becomes of it where it was never used before.
    pub new_network: NewNetwork,
    /// What made it.
    pub source: Source,
}

/// What is asked of API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// What is asked of all that have no rule of their own.
    pub all: KeyRule,
    /// What is asked of single ones, in place of that: nobody can make another key of the same name.
    pub keys: BTreeMap<Fingerprint, KeyRule>,
    /// What is asked of a user's keys, by n8n's own id, besides: a key says itself whose it is, so that
    /// it is good for refusing alone.
    pub users: BTreeMap<String, KeyRule>,
}

/// What a key's use is charged to.
pub type Charge = (Limit, Fingerprint);

impl ApiKeys {
    /// Every limit.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.rules().filter_map(|rule| rule.rate.as_ref())
    }

    fn rules(&self) -> impl Iterator<Item = &KeyRule> {
        std::iter::once(&self.all).chain(self.keys.values()).chain(self.users.values())
    }

    /// What is asked of a key.
    fn of<'a>(&'a self, key: &'a ShownKey) -> impl Iterator<Item = &'a KeyRule> + use<'a> {
        let own = self.keys.get(&key.fingerprint).unwrap_or(&self.all);
        let users = key.user.as_ref().and_then(|user| self.users.get(user));
        std::iter::once(own).chain(users)
    }

    /// Whether it is told where a key turns up.
    #[must_use]
    pub fn tells_moves(&self, key: &ShownKey) -> bool {
        self.of(key).any(|rule| rule.new_network != NewNetwork::Allow)
    }

    /// What follows from the keys that are shown: what their use is charged to.
    pub(super) fn judge(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<Vec<Charge>, Refusal> {
        let Login { keys, .. } = question.login;
        if keys.is_empty() {
            self.tell(located, steps);
        }
        let mut charges = Vec::new();
        for key in keys {
            for rule in self.of(key) {
                let flaw = rule.flaw(key, question, located);
                let found = flaw.as_ref().map_or("may be used so", |(_, found)| *found);
                let source = Some(rule.source);
                steps.note(|| Step { asked: "api key", found: found.to_owned(), source });
                if let Some((reason, _)) = flaw {
                    return Err(Refusal::new(reason, Some(located.surface), source));
                }
                charges.extend(rule.rate.clone().map(|limit| (limit, key.fingerprint)));
            }
        }
        Ok(charges)
    }

    /// Says what is asked where a key would count.
    fn tell(&self, located: Located<'_>, steps: &mut impl Steps) {
        if !matches!(located.surface, Surface::PublicApi | Surface::McpServer) {
            return;
        }
        let own = self.keys.len() + self.users.len();
        for rule in self.rules().take(1).filter(|rule| rule.asks()) {
            let found = format!("one {rule}");
            steps.note(|| Step { asked: "api key", found, source: Some(rule.source) });
        }
        if own > 0 {
            let found = format!("{own} of them have rules of their own");
            steps.note(|| Step { asked: "api key", found, source: None });
        }
    }
}

impl KeyRule {
    fn asks(&self) -> bool {
        self.networks.is_some() || self.read_only || self.resources.is_some() || self.rate.is_some()
    }

    /// Why a key may not be used so, and in words, if it may not.
    fn flaw(
        &self,
        key: &ShownKey,
        question: Question<'_>,
        located: Located<'_>,
    ) -> Option<(Reason, &'static str)> {
        let from = question.client.address;
        let home = |networks: &Vec<Arc<Network>>| networks.iter().any(|it| it.contains(from));
        if self.networks.as_ref().is_some_and(|networks| !home(networks)) {
            return Some((Reason::ApiKeyNetwork, "may not be used from this address"));
        }
        let elsewhere = key.history.is_some_and(|it| it.elsewhere);
        if self.new_network == NewNetwork::Refuse && elsewhere {
            return Some((Reason::ApiKeyElsewhere, "was never used from this network"));
        }
        // Where n8n asks for no key, none may be kept from anything.
        let asked = resource(&located)?;
        if self.read_only && !only_reads(&located, &question.head.method) {
            return Some((Reason::ApiKeyScope, "may only read"));
        }
        let among = |all: &Vec<String>| all.iter().any(|it| asked.eq_ignore_ascii_case(it));
        if self.resources.as_ref().is_some_and(|all| !among(all)) {
            return Some((Reason::ApiKeyScope, "may not ask for this resource"));
        }
        None
    }
}

/// What is asked, in words that follow a key's name.
impl fmt::Display for KeyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |all: &Vec<Arc<Network>>| {
            all.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let moves = match self.new_network {
            NewNetwork::Refuse => Some("is refused in a new network".to_owned()),
            NewNetwork::Report | NewNetwork::Allow => None,
        };
        let parts = [
            self.networks.as_ref().map(|all| format!("may be used from {}", names(all))),
            self.read_only.then(|| "may only read".to_owned()),
            self.resources.as_ref().map(|all| format!("may ask for {}", all.join(", "))),
            self.rate.as_ref().map(|limit| format!("may be used {}", limit.quota)),
            moves,
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "may be used" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateway_n8n::Surface;
    use http::Request;

    use super::*;
    use crate::{
        Accounts, Mode, Per, Policy, PrefixSet, Quota, Shown, Timestamp, Who, Windows,
        decide::tests::policy,
    };

    const LINE: Source = Source::Default;

    fn rule() -> KeyRule {
        KeyRule {
            networks: None,
            read_only: false,
            resources: None,
            rate: None,
            new_network: NewNetwork::Report,
            source: LINE,
        }
    }

    fn network(prefix: &str) -> Option<Vec<Arc<Network>>> {
        let prefixes: PrefixSet = [prefix.parse().unwrap()].into_iter().collect();
        Some(vec![Arc::new(Network::new("office", prefixes, Vec::new()))])
    }

    fn limit(name: &str) -> Option<Limit> {
        let quota = Quota { rate: 1, period: Duration::from_secs(60), burst: 1 };
        let (per, strangers, dry_run) = (Per::Key, false, false);
        Some(Limit { name: name.into(), per, quota, strangers, dry_run, source: LINE })
    }

    fn with(all: KeyRule) -> Policy {
        let own = KeyRule { rate: limit("own"), ..rule() };
        let users = KeyRule { read_only: true, ..rule() };
        let api_keys = ApiKeys {
            all,
            keys: [(Fingerprint([1; 32]), own)].into(),
            users: [("u1".to_owned(), users)].into(),
        };
        let mut policy = policy();
        for surface in [Surface::PublicApi, Surface::McpServer] {
            policy.access.set(surface, "", Who::Anyone, LINE);
        }
        Policy { accounts: Accounts { api_keys: Some(api_keys), ..Accounts::default() }, ..policy }
    }

    fn key(number: u8, user: Option<&str>, elsewhere: bool) -> ShownKey {
        let at = Timestamp(5);
        let history = Some(History { began: at, seen: at, elsewhere });
        let user = user.map(str::to_owned);
        ShownKey { fingerprint: Fingerprint([number; 32]), user, history }
    }

    /// The limits that a request is charged to, or why it is refused.
    #[expect(clippy::unwrap_in_result, reason = "the request is the test's own")]
    fn ask(policy: &Policy, line: &str, keys: &[ShownKey]) -> Result<Vec<String>, &'static str> {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("host", "n8n.test");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let client = policy.clients.client("192.0.2.1".parse().unwrap());
        let login = Login { keys, ..Login::default() };
        let (shown, windows) = (Shown::Nothing, Windows::NONE);
        let question = Question { head: &head, sni: None, client, shown, login, windows };
        let permit = policy.decide(question).map_err(|refusal| refusal.reason.name())?;
        Ok(permit.charges().iter().map(|(limit, _)| limit.name.to_string()).collect())
    }

    const PASSES: Result<Vec<String>, &str> = Ok(Vec::new());

    #[test]
    fn a_key_may_do_what_its_rules_say() {
        let (network_refused, scope) = (Err("api_key_network"), Err("api_key_scope"));
        let near = KeyRule { networks: network("192.0.2.0/24"), ..rule() };
        let far = KeyRule { networks: network("198.51.100.0/24"), ..rule() };
        let reads = KeyRule { read_only: true, ..rule() };
        let some = KeyRule { resources: Some(vec!["workflows".to_owned()]), ..rule() };
        let mcp = KeyRule { resources: Some(vec!["mcp-server".to_owned()]), ..rule() };
        let moved = KeyRule { new_network: NewNetwork::Refuse, ..rule() };
        let (get, post, docs) =
            ("GET /api/v1/workflows", "POST /api/v1/workflows", "GET /api/v1/docs");
        let call = "POST /mcp-server/http";
        let other = || key(7, None, false);
        for (all, line, key, expected) in [
            (rule(), post, other(), PASSES),
            (near, post, other(), PASSES),
            (far.clone(), get, other(), network_refused.clone()),
            (far.clone(), call, other(), network_refused.clone()),
            (far.clone(), docs, other(), network_refused.clone()),
            (far, get, key(1, None, false), Ok(vec!["own".to_owned()])),
            (reads.clone(), get, other(), PASSES),
            (reads.clone(), post, other(), scope.clone()),
            (reads.clone(), call, other(), scope.clone()),
            (reads.clone(), "POST /api/v1/audit", other(), PASSES),
            (reads, post, key(1, Some("u2"), false), Ok(vec!["own".to_owned()])),
            (rule(), post, key(1, Some("u1"), false), scope.clone()),
            (rule(), post, key(7, Some("u1"), false), scope.clone()),
            (rule(), get, key(7, Some("u1"), false), PASSES),
            (some.clone(), post, other(), PASSES),
            (some.clone(), "GET /api/v1/workflows/1/tags", other(), PASSES),
            (some.clone(), "GET /api/v1/credentials", other(), scope.clone()),
            (
                some.clone(),
                "GET /api/v1/workflows%2f..%2fcredentials",
                other(),
                Err("ambiguous_path"),
            ),
            (some.clone(), "GET /api/v1/%77orkflows", other(), scope.clone()),
            (some.clone(), docs, other(), PASSES),
            (some, call, other(), scope.clone()),
            (mcp, call, other(), PASSES),
            (moved.clone(), get, key(7, None, true), Err("api_key_elsewhere")),
            (moved.clone(), get, other(), PASSES),
            (moved, get, key(1, None, true), Ok(vec!["own".to_owned()])),
            (rule(), get, key(7, None, true), PASSES),
        ] {
            let policy = with(all.clone());
            let keys = [key];
            assert_eq!(ask(&policy, line, &keys), expected, "{line} {all:?}");
            let dry = Policy { mode: Mode::DryRun, ..policy };
            let told = ask(&dry, line, &keys);
            assert_eq!(told.is_err(), expected == Err("ambiguous_path"), "a dry run: {line}");
        }
    }

    #[test]
    fn of_several_keys_none_may_be_refused() {
        let policy = with(KeyRule { read_only: true, ..rule() });
        let own = || key(1, None, false);
        assert_eq!(ask(&policy, "POST /api/v1/tags", &[own()]), Ok(vec!["own".to_owned()]));
        let both = [own(), key(7, None, false)];
        assert_eq!(ask(&policy, "POST /api/v1/tags", &both), Err("api_key_scope"));
        assert_eq!(ask(&policy, "POST /api/v1/tags", &[]), PASSES, "n8n asks for one");
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint([0xa7; 32]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        let plus = format!("sha256:{}", "+1".repeat(32));
        for wrong in ["", "sha256:", "sha256:a7", "a7", plus.as_str(), &"a7".repeat(32)] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_is_said_where_a_key_would_count() {
        let policy = with(KeyRule { read_only: true, rate: limit("all"), ..rule() });
        let tell = |path: &str| {
            let located = policy.surfaces.locate(path, false).unwrap();
            let mut steps: Vec<Step> = Vec::new();
            policy.accounts.api_keys.as_ref().unwrap().tell(located, &mut steps);
            steps.into_iter().map(|step| step.found).collect::<Vec<_>>().join(" / ")
        };
        let expected =
            "one may only read; may be used 1/min, burst 1 / 2 of them have rules of their own";
        assert_eq!(tell("/api/v1/workflows"), expected);
        assert_eq!(tell("/rest/workflows"), "");
    }
}
