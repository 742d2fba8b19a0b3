//! `Cookie` fields: the device's own cookie never reaches n8n, all others do, and nobody makes one
//! who has not the key.

use std::sync::OnceLock;

use gateway_ledger::Key;
use gateway_n8n::{Endpoints, Surfaces, could_show_session};
use gateway_policy::Timestamp;
use gateway_proxy::device;
use http::{HeaderMap, HeaderValue, Method, header};

const NAME: &[u8] = b"__Host-gateway-device=";

fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::passing().unwrap())
}

fn crumbs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let fields = headers.get_all(header::COOKIE).iter();
    let crumbs = fields.flat_map(|it| it.as_bytes().split(|byte| *byte == b';'));
    crumbs.map(|it| it.trim_ascii().to_vec()).filter(|it| !it.is_empty()).collect()
}

pub(super) fn run(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for field in bytes.split(|byte| *byte == b'\n') {
        let Ok(field) = HeaderValue::from_bytes(field) else { return };
        headers.append(header::COOKIE, field);
    }
    let before = crumbs(&headers);
    if let Some(value) = device::cookie(&headers) {
        let whole = [NAME, value.as_bytes()].concat();
        assert!(before.contains(&whole), "{value:?}");
        if let Ok(value) = value.to_str() {
            let now = Timestamp(1_700_000_000);
            assert_eq!(key().device(value, now), [], "a device that the key has not signed");
            let good = key().sign_device(key().account(value), &[], now);
            assert_eq!(key().device(&good, now), [key().account(value)]);
        }
        if let Some(set) = device::set_cookie(&value) {
            assert!(set.as_bytes().starts_with(NAME), "{set:?}");
        }
    }
    let surfaces = Surfaces::new(&Endpoints::default());
    let located = surfaces.locate("/rest/login", false).unwrap();
    let session = could_show_session(&located, &Method::GET, &headers);
    device::strip(&mut headers);
    assert_eq!(device::cookie(&headers), None, "n8n would see it");
    let others: Vec<_> = before.into_iter().filter(|it| !it.starts_with(NAME)).collect();
    assert_eq!(crumbs(&headers), others, "n8n would miss some");
    assert_eq!(could_show_session(&located, &Method::GET, &headers), session);
}
