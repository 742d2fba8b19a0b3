//! Signed requests, verified as an authority verifies them.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::Value;

use super::answer::Problem;

/// A flattened JWS.
#[derive(Debug)]
pub(super) struct Jws {
    /// The protected header.
    pub(super) protected: Value,
    payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Jws {
    /// Reads one, and verifies nothing yet.
    pub(super) fn parse(value: &Value) -> Result<Self, Problem> {
        let field = |name: &str| {
            let missing = || Problem::malformed(format!("no {name} in the JWS"));
            value.get(name).and_then(Value::as_str).ok_or_else(missing)
        };
        let (protected, payload) = (field("protected")?, field("payload")?);
        let header = serde_json::from_slice(&decode(protected)?)
            .map_err(|_| Problem::malformed("the protected header is no JSON"))?;
        Ok(Self {
            protected: header,
            payload: decode(payload)?,
            signed: format!("{protected}.{payload}"),
            signature: decode(field("signature")?)?,
        })
    }

    /// A string of the protected header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.protected.get(name).and_then(Value::as_str)
    }

    /// What was signed, or `None` when the request only reads (`POST-as-GET`).
    pub(super) fn payload(&self) -> Result<Option<Value>, Problem> {
        if self.payload.is_empty() {
            return Ok(None);
        }
        let value = serde_json::from_slice(&self.payload);
        value.map(Some).map_err(|_| Problem::malformed("the payload is no JSON"))
    }

    /// Whether this account's key signed it.
    pub(super) fn signed_by(&self, key: &Jwk) -> Result<(), Problem> {
        if self.header("alg") != Some("ES256") {
            return Err(Problem::new("badSignatureAlgorithm", "only ES256 is taken here"));
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point);
        key.verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| Problem::malformed("JWS verification error"))
    }

    /// Whether who signed it knows the secret of an external account.
    pub(super) fn sealed_with(&self, secret: &[u8]) -> Result<(), Problem> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let sound = hmac::verify(&key, self.signed.as_bytes(), &self.signature).is_ok();
        if self.header("alg") != Some("HS256") || !sound {
            return Err(Problem::new("unauthorized", "the external account's MAC is wrong"));
        }
        Ok(())
    }
}

/// The public key of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Jwk {
    x: String,
    y: String,
    point: Vec<u8>,
}

impl Jwk {
    /// Reads an elliptic key of P-256; there is no other kind here.
    pub(super) fn parse(value: &Value) -> Result<Self, Problem> {
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        if field("kty") != "EC" || field("crv") != "P-256" {
            return Err(Problem::new("badPublicKey", "only P-256 is taken here"));
        }
        let (x, y) = (field("x").to_owned(), field("y").to_owned());
        let point = [vec![4], decode(&x)?, decode(&y)?].concat();
        match point.len() {
            65 => Ok(Self { x, y, point }),
            _ => Err(Problem::new("badPublicKey", "a point of P-256 has 32 and 32 bytes")),
        }
    }

    /// The thumbprint of RFC 7638.
    pub(super) fn thumbprint(&self) -> String {
        let (x, y) = (&self.x, &self.y);
        encode(sha256(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
    }

    /// The point that is the key, as certificates write it.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }
}

/// The digest of a text.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    out
}

/// Bytes in a URL.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes that stood in a URL.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
    bytes.map_err(|_| Problem::malformed("base64url is wrong, or is padded"))
}
