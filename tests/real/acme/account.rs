//! The gateway's account, in somebody else's hands.

use std::{fs, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hyper::{Request, header};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::pebble::Pebble;
use crate::processes::eventually;

/// An account at a directory.
#[derive(Debug)]
pub(super) struct Account {
    key: EcdsaKeyPair,
    url: String,
}

impl Account {
    /// The one account in the gateway's folder; those that were set aside do not count.
    pub(super) fn of(certificates: &Path) -> Self {
        let files = fs::read_dir(certificates.join("accounts")).unwrap();
        let files = files.map(|it| it.unwrap().path());
        let accounts: Vec<_> =
            files.filter(|it| it.extension().is_some_and(|it| it == "json")).collect();
        let [account] = &accounts[..] else { panic!("one account: {accounts:?}") };
        let text = fs::read(account).unwrap();
        let mut words = Vec::new();
        collect(&serde_json::from_slice(&text).unwrap(), &mut words);
        let url = words.iter().find(|it| it.contains("/my-account/")).expect("its URL").clone();
        let key = words.iter().find_map(|it| key(it)).expect("its key");
        Self { key, url }
    }

    /// Deactivates it, for good.
    pub(super) async fn deactivate(&self, pebble: &Pebble) {
        let client = pebble.client();
        let directory = client.send(Request::get("/dir"), "").await.is(200).json();
        let nonces = directory["newNonce"].as_str().unwrap().to_owned();
        let path = |url: &str| url.strip_prefix(&client.origin()).unwrap().to_owned();
        // Some nonces are refused although they are good.
        let answer = eventually("a nonce that is taken", async || {
            let nonce = client.send(Request::get(path(&nonces)), "").await;
            let signed = self.sign(nonce.header("replay-nonce"), &json!({"status": "deactivated"}));
            let request = Request::post(path(&self.url));
            let request = request.header(header::CONTENT_TYPE, "application/jose+json");
            let answer = client.send(request, signed.to_string()).await;
            (!answer.text().contains("badNonce")).then_some(answer)
        })
        .await;
        assert_eq!(answer.is(200).json()["status"], "deactivated");
    }

    fn sign(&self, nonce: &str, payload: &Value) -> Value {
        let head = json!({"alg": "ES256", "kid": self.url, "nonce": nonce, "url": self.url});
        let [head, payload] = [&head, payload].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
        let message = format!("{head}.{payload}");
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        json!({"protected": head, "payload": payload, "signature": signature})
    }
}

/// All the strings in it, wherever they are.
fn collect(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(it) => words.push(it.clone()),
        Value::Array(all) => all.iter().for_each(|it| collect(it, words)),
        Value::Object(all) => all.values().for_each(|it| collect(it, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A private key, if it is one.
fn key(word: &str) -> Option<EcdsaKeyPair> {
    let pem = PrivatePkcs8KeyDer::from_pem_slice(word.as_bytes());
    let pem = pem.ok().map(|it| it.secret_pkcs8_der().to_vec());
    let der = pem.or_else(|| URL_SAFE_NO_PAD.decode(word).ok());
    let der = der.or_else(|| STANDARD.decode(word).ok())?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok()
}
