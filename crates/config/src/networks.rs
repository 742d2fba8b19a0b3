//! Names for addresses: lists, files, DNS names, countries and autonomous systems.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gateway_policy::{Membership, Network, Place, Whereabouts};
use ipnet::IpNet;
use maxminddb::{Reader, geoip2};

use crate::{
    Answers, Needs, Severity,
    at::{At, Keyed, OneOrMany},
    de::Session,
    raw,
    world::{beside, unreadable},
};

/// How often a DNS name is asked for if nothing else is said.
const REFRESH: Duration = Duration::from_secs(300);

/// How often a DNS name may be asked for.
const REFRESH_AT_LEAST: Duration = Duration::from_secs(10);

/// The named networks of a policy, and what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    pub(crate) by_name: BTreeMap<String, Arc<Network>>,
    /// The plain ranges of those that are made of nothing else.
    pub(crate) prefixes: BTreeMap<String, Vec<IpNet>>,
}

/// An address or a prefix, as the file writes it.
pub(crate) fn prefix(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

pub(crate) fn compile(
    raw: Option<At<Keyed<raw::Network>>>,
    answers: &Answers,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Networks {
    let mut networks = Networks::default();
    for (name, network) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let (Some(label), Some(network)) = (name.value, network.value) else { continue };
        if matches!(label.as_str(), "anyone" | "nobody") || label.contains('/') {
            session.error(name.place, format!("`{label}` cannot name a network"), None);
            continue;
        }
        let (prefixes, membership) = match network {
            raw::Network::List(list) => (listed(list, session), None),
            raw::Network::Lookup(lookup) => found(name.place, *lookup, answers, needs, session),
        };
        let set = prefixes.iter().copied().collect();
        if membership.is_none() {
            networks.prefixes.insert(label.clone(), prefixes);
        }
        let network = Network::new(&label, set, membership.into_iter().collect());
        networks.by_name.insert(label, Arc::new(network));
    }
    networks
}

fn listed(list: OneOrMany<String>, session: &Session<'_>) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    for At { place, value } in list.0 {
        let Some(text) = value else { continue };
        match prefix(&text) {
            Some(net) => prefixes.push(net),
            None => {
                let hint =
                    "write an address or a prefix: 203.0.113.7, 203.0.113.0/24, 2001:db8::/32";
                let message = format!("`{text}` is not an address");
                session.error(place, message, Some(hint.to_owned()));
            }
        }
    }
    prefixes
}

type Found = (Vec<IpNet>, Option<Arc<dyn Membership>>);

fn found(
    place: Place,
    raw: raw::Lookup,
    answers: &Answers,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Found {
    let raw::Lookup { file, dns, refresh, country, not_country, asn, database } = raw;
    let ways =
        [file.is_some(), dns.is_some(), country.is_some(), not_country.is_some(), asn.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        let message = "a network is found in one way";
        let hint = "give one of `file`, `dns`, `country`, `not_country`, `asn`, or a list";
        session.error(place, message, Some(hint.to_owned()));
        return Found::default();
    }
    let geographic = country.is_some() || not_country.is_some() || asn.is_some();
    if let Some(stray) = refresh.as_ref().filter(|_| dns.is_none()) {
        session.error(stray.place, "`refresh` goes with `dns`", None);
    }
    if let Some(stray) = database.as_ref().filter(|_| !geographic) {
        session.error(stray.place, "`database` goes with `country`, `not_country` or `asn`", None);
    }
    if let Some(file) = file {
        return (from_file(&file, needs, session), None);
    }
    if let Some(At { place, value: Some(name) }) = dns {
        let wanted = refresh.and_then(|it| it.value).map_or(REFRESH, |it| it.0);
        if wanted < REFRESH_AT_LEAST {
            session.error(place, "a DNS name is asked for every `10s` at the most", None);
        }
        let known = answers.get(&name.0).into_iter().flatten().copied();
        let prefixes = known.map(|address| IpNet::from(address.to_canonical())).collect();
        needs.names.insert(name.0, wanted);
        return (prefixes, None);
    }
    if !geographic {
        return Found::default();
    }
    let belongs = match (country, not_country, asn) {
        (Some(list), ..) => Belongs::Country(codes(list, session)),
        (_, Some(list), _) => Belongs::NotCountry(codes(list, session)),
        (.., asn) => Belongs::Asn(values(asn)),
    };
    let Some(database) = database else {
        let hint = "database: /var/lib/GeoIP/GeoLite2-Country.mmdb";
        session.error(
            place,
            "a country or an autonomous system needs a `database`",
            Some(hint.to_owned()),
        );
        return Found::default();
    };
    let reader = open(&database, needs, session);
    (Vec::new(), reader.map(|reader| Arc::new(Geographic { reader, belongs }) as _))
}

fn values<T>(list: Option<At<OneOrMany<T>>>) -> Vec<T> {
    let list = list.and_then(|list| list.value).map(|list| list.0).unwrap_or_default();
    list.into_iter().filter_map(|one| one.value).collect()
}

fn codes(list: At<OneOrMany<String>>, session: &Session<'_>) -> Vec<String> {
    let place = list.place;
    let codes = values(Some(list));
    for code in
        codes.iter().filter(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()))
    {
        let hint = "two capital letters: DE, FR, US";
        session.error(place, format!("`{code}` is not a country code"), Some(hint.to_owned()));
    }
    codes
}

/// A file that the policy names, as the policy means it.
pub(crate) fn full_path(path: &At<String>, session: &Session<'_>) -> Option<PathBuf> {
    Some(beside(session.file, Path::new(path.value.as_ref()?)))
}

/// The content of a file that the policy names, which is watched from now on.
pub(crate) fn read(
    path: &At<String>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<(PathBuf, Vec<u8>)> {
    let full = full_path(path, session)?;
    needs.files.insert(full.clone());
    match session.world.read(&full) {
        Ok(bytes) => Some((full, bytes)),
        Err(why) => {
            let (message, hint) = unreadable(&full, &why, session.world);
            session.error(path.place, message, hint);
            None
        }
    }
}

fn from_file(path: &At<String>, needs: &mut Needs, session: &Session<'_>) -> Vec<IpNet> {
    let Some((file, bytes)) = read(path, needs, session) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let mut prefixes = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        match prefix(entry) {
            Some(net) => prefixes.push(net),
            None if entry.is_empty() => {}
            None => {
                let place = Some(Place { line: at + 1, column: 1 });
                let message = format!("`{entry}` is not an address");
                session.problems.borrow_mut().add(Severity::Error, &file, place, message, None);
            }
        }
    }
    prefixes
}

fn open(path: &At<String>, needs: &mut Needs, session: &Session<'_>) -> Option<Reader<Vec<u8>>> {
    let (file, bytes) = read(path, needs, session)?;
    match Reader::from_source(bytes) {
        Ok(reader) => Some(reader),
        Err(why) => {
            session.error(
                path.place,
                format!("{}: not a MaxMind file: {why}", file.display()),
                None,
            );
            None
        }
    }
}

/// Where addresses are, by a MaxMind file.
pub(crate) fn whereabouts(
    path: &At<String>,
    needs: &mut Needs,
    session: &Session<'_>,
) -> Option<Arc<dyn Whereabouts>> {
    let reader = open(path, needs, session)?;
    Some(Arc::new(Geographic { reader, belongs: Belongs::Country(Vec::new()) }))
}

impl Whereabouts for Geographic {
    fn of(&self, address: IpAddr) -> Option<String> {
        self.asn(address).map(|asn| format!("AS{asn}")).or_else(|| self.country(address))
    }
}

#[derive(Debug)]
enum Belongs {
    Country(Vec<String>),
    NotCountry(Vec<String>),
    Asn(Vec<u32>),
}

struct Geographic {
    reader: Reader<Vec<u8>>,
    belongs: Belongs,
}

impl fmt::Debug for Geographic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.belongs.fmt(f)
    }
}

impl Geographic {
    fn country(&self, address: IpAddr) -> Option<String> {
        let found = self.reader.lookup(address).ok()?.decode::<geoip2::Country<'_>>().ok()??;
        found.country.iso_code.map(str::to_owned)
    }

    fn asn(&self, address: IpAddr) -> Option<u32> {
        let found = self.reader.lookup(address).ok()?.decode::<geoip2::Asn<'_>>().ok()??;
        found.autonomous_system_number
    }
}

impl Membership for Geographic {
    fn contains(&self, address: IpAddr) -> bool {
        match &self.belongs {
            Belongs::Country(codes) => self.country(address).is_some_and(|it| codes.contains(&it)),
            Belongs::NotCountry(codes) => {
                self.country(address).is_some_and(|it| !codes.contains(&it))
            }
            Belongs::Asn(numbers) => self.asn(address).is_some_and(|it| numbers.contains(&it)),
        }
    }
}
