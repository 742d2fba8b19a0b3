use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::*;

/// 2027-01-15.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn authority(name: &str) -> Authority {
    let (params, pair) = (authority_params(name), KeyPair::generate().unwrap());
    let certificate = params.self_signed(&pair).unwrap().der().clone();
    Authority { certificate, issuer: Issuer::new(params, pair) }
}

impl Authority {
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = named("alice");
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    fn trusted(&self, id: &str) -> TrustedAuthority {
        let certificates = vec![self.certificate.clone()];
        TrustedAuthority { id: AuthorityId::new(id), certificates }
    }
}

#[test]
fn each_authority_vouches_for_its_own_and_for_nobody_else() {
    let (team, ops, other) = (authority("team"), authority("ops"), authority("team"));
    let both = TrustedAuthority {
        id: AuthorityId::new("both"),
        certificates: vec![ops.certificate.clone(), team.certificate.clone()],
    };
    let all = ClientAuthorities::new([team.trusted("team"), ops.trusted("ops"), both]).unwrap();
    let vouched = |chain: &[CertificateDer<'_>]| -> Vec<AuthorityId> {
        all.vouch(chain, NOW).unwrap().vouched_by
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| AuthorityId::new(id)).collect::<Vec<_>>();
    let (good, of_ops) = (team.issue(|_| {}), ops.issue(|_| {}));
    assert_eq!(vouched(std::slice::from_ref(&good)), ids(&["team", "both"]));
    assert_eq!(vouched(&[of_ops]), ids(&["ops", "both"]));
    assert_eq!(vouched(&[other.issue(|_| {})]), [], "its name is another's");
    assert_eq!(all.vouch(&[good], NOW).unwrap().subject, "CN=alice");
    assert_eq!(all.vouch(&[], NOW), None);
    assert_eq!(vouched(&[b"hello".to_vec().into()]), []);
    let usage = |usage| move |it: &mut CertificateParams| it.extended_key_usages = vec![usage];
    let client = team.issue(usage(ExtendedKeyUsagePurpose::ClientAuth));
    assert_eq!(vouched(&[client]), ids(&["team", "both"]));
    let server = team.issue(usage(ExtendedKeyUsagePurpose::ServerAuth));
    assert_eq!(vouched(&[server]), [], "a server's certificate");
    let past = team.issue(|it| it.not_after = date_time_ymd(2027, 1, 14));
    assert_eq!(vouched(&[past]), []);
    let future = team.issue(|it| it.not_before = date_time_ymd(2027, 1, 16));
    assert_eq!(vouched(&[future]), []);
}

#[test]
fn intermediates_are_followed_but_not_without_end() {
    let root = authority("root");
    let all = ClientAuthorities::new([root.trusted("root")]).unwrap();
    let (params, pair) = (authority_params("between"), KeyPair::generate().unwrap());
    let between = params.signed_by(&pair, &root.issuer).unwrap().der().clone();
    let issuer = Issuer::new(params, pair);
    let own = Authority { certificate: between.clone(), issuer }.issue(|_| {});
    let vouched = |chain: &[CertificateDer<'_>]| all.vouch(chain, NOW).unwrap().vouched_by.len();
    assert_eq!(vouched(std::slice::from_ref(&own)), 0);
    assert_eq!(vouched(&[own.clone(), between.clone()]), 1);
    let mut long = vec![own];
    long.extend(vec![between; LONGEST_CHAIN]);
    assert_eq!(vouched(&long), 1);
    long.push(root.certificate);
    assert_eq!(vouched(&long), 0, "whatever it is");
}

#[test]
fn clients_are_asked_only_if_the_policy_asks_and_told_for_what() {
    assert!(ClientAuthorities::default().asking().is_none());
    let (team, again) = (authority("team"), authority("team"));
    let hints = |all: Vec<TrustedAuthority>| {
        let asking = ClientAuthorities::new(all).unwrap().asking().unwrap();
        assert!(asking.offer_client_auth() && !asking.client_auth_mandatory());
        asking.root_hint_subjects().len()
    };
    assert_eq!(hints(vec![team.trusted("a"), again.trusted("b")]), 1, "each name once");
    let many = (0..400).map(|at| authority(&format!("{at:0>60}")).trusted("many"));
    assert_eq!(hints(many.collect()), 0, "too many to be sent in one message");
}
