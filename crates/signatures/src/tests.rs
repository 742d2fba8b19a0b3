//! Vectors that providers publish, and what must not pass.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// A message as its provider describes it, where a description has all of one.
struct Vector {
    provider: &'static str,
    secret: &'static str,
    /// When it was signed.
    at: i64,
    authority: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// GitHub: "Testing the webhook payload validation" on the page of the table. Slack: the example on the page of the
/// table. Twilio: <https://www.twilio.com/docs/usage/security>, and the tests of `twilio-node`
/// (`spec/validation.spec.js`). Zendesk publishes none that agrees with what it sends, Shopify and Stripe none with a
/// secret: those three are made as their pages say, and by their own libraries in `tests/real`. Svix
/// and Standard Webhooks: the example of `svix-webhooks` and of the specification's libraries.
const VECTORS: [Vector; 9] = [
    Vector {
        provider: "github",
        secret: "It's a Secret to Everybody",
        at: 0,
        authority: "n8n.test",
        target: "/webhook/github",
        headers: &[(
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        )],
        body: "Hello, World!",
    },
    Vector {
        provider: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        at: 1_531_420_618,
        authority: "n8n.test",
        target: "/webhook/slack",
        headers: &[
            ("x-slack-request-timestamp", "1531420618"),
            (
                "x-slack-signature",
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            ),
        ],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
               &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
               &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com\
               %2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
               &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    },
    Vector {
        provider: "svix",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        at: 1_614_265_330,
        authority: "n8n.test",
        target: "/webhook/svix",
        headers: &[
            ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("svix-timestamp", "1614265330"),
            ("svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: "{\"test\": 2432232314}",
    },
    Vector {
        provider: "standard-webhooks",
        secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        at: 1_614_265_330,
        authority: "n8n.test",
        target: "/webhook/standard",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: "{\"test\": 2432232314}",
    },
    Vector {
        provider: "twilio",
        secret: "12345",
        at: 0,
        authority: "mycompany.com",
        target: "/myapp.php?foo=1&bar=2",
        headers: &[FORM, ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")],
        body: "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309\
               &To=%2B18005551212",
    },
    Vector {
        provider: "twilio",
        secret: "12345",
        at: 0,
        authority: "mycompany.com:443",
        target: "/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620",
        headers: &[
            ("content-type", "application/json"),
            ("x-twilio-signature", "a9nBmqA0ju/hNViExpshrM61xv4="),
        ],
        body: "{\"property\": \"value\", \"boolean\": true}",
    },
    Vector {
        provider: "stripe",
        secret: "whsec_test_secret",
        at: 1_492_774_577,
        authority: "n8n.test",
        target: "/webhook/stripe",
        headers: &[(
            "stripe-signature",
            "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
        )],
        body: "{\"id\":\"evt_1\",\"object\":\"event\"}",
    },
    Vector {
        provider: "shopify",
        secret: "hush",
        at: 0,
        authority: "n8n.test",
        target: "/webhook/shopify",
        headers: &[("x-shopify-hmac-sha256", "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=")],
        body: "{\"id\":820982911946154508}",
    },
    Vector {
        provider: "zendesk",
        secret: "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
        at: 1_627_207_200,
        authority: "n8n.test",
        target: "/webhook/zendesk",
        headers: &[
            ("x-zendesk-webhook-signature-timestamp", "2021-07-25T10:00:00Z"),
            ("x-zendesk-webhook-signature", "gf3v0LzLRHPUnIdhbvwRDVEvzSb07/QN0GYjSNlkBT0="),
        ],
        body: "{\"say\": \"hello\"}",
    },
];

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn proof(vector: &Vector) -> Proof {
    Proof::by(Provider::named(vector.provider).unwrap(), &[vector.secret], 300).unwrap()
}

impl Vector {
    fn check(&self, headers: &HeaderMap, target: &str, body: &[u8]) -> Result<Proven, Unproven> {
        let message = Message { headers, authority: self.authority, target, body };
        proof(self).check(&message, self.at)
    }
}

#[test]
fn what_providers_publish_is_believed() {
    for vector in &VECTORS {
        let headers = headers(vector.headers);
        let proven = vector.check(&headers, vector.target, vector.body.as_bytes());
        assert!(proven.is_ok(), "{}: {proven:?}", vector.provider);
        let stamped = proof(vector).is_stamped();
        assert_eq!(proven.unwrap().until, stamped.then_some(vector.at + 300));
    }
}

#[test]
fn every_changed_bit_is_refused() {
    for vector in &VECTORS {
        let (good, body) = (headers(vector.headers), vector.body.as_bytes());
        for bit in 0..body.len() * 8 {
            let mut changed = body.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let same = vector.headers.contains(&FORM) && fields(&changed) == fields(body);
            let found = vector.check(&good, vector.target, &changed).is_ok();
            assert_eq!(found, vector.provider == "twilio" && same, "body {bit}");
        }
        for (name, value) in vector.headers.iter().filter(|it| it.0 != "content-type") {
            // What stands behind it is another signature, which does not count.
            let end = value.find(",v0=").unwrap_or(value.len());
            for bit in 0..end * 8 {
                let mut changed = value.as_bytes().to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
                let mut others = good.clone();
                others.insert(HeaderName::from_static(name), changed);
                let found = vector.check(&others, vector.target, body);
                assert!(found.is_err(), "{} {name} bit {bit}", vector.provider);
            }
        }
        if vector.provider == "twilio" {
            for bit in 0..vector.target.len() * 8 {
                let mut changed = vector.target.as_bytes().to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                let Ok(changed) = String::from_utf8(changed) else { continue };
                assert!(vector.check(&good, &changed, body).is_err(), "{changed}");
            }
        }
    }
}

/// What a form says, in the order of names: Twilio signs that, not how it is spelled.
fn fields(body: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
    fields.sort();
    fields
}

#[test]
fn a_signature_is_good_for_its_time_and_for_any_of_the_secrets() {
    let slack = &VECTORS[1];
    let provider = Provider::named("slack").unwrap();
    let rotated = Proof::by(provider, &["new one", slack.secret], 300).unwrap();
    let headers = headers(slack.headers);
    let message = Message {
        headers: &headers,
        authority: slack.authority,
        target: slack.target,
        body: slack.body.as_bytes(),
    };
    for (after, expected) in [
        (-301, Some(Unproven::Early)),
        (-300, None),
        (0, None),
        (300, None),
        (301, Some(Unproven::Old)),
        (i64::MAX - slack.at, Some(Unproven::Old)),
    ] {
        assert_eq!(rotated.check(&message, slack.at + after).err(), expected, "{after}");
    }
    let gone = Proof::by(provider, &["new one"], 300).unwrap();
    assert_eq!(gone.check(&message, slack.at).err(), Some(Unproven::Wrong));
}

#[test]
fn tokens_and_passwords_are_compared_whole() {
    let secrets = || vec![Secret::new("old:word"), Secret::new("new:word")];
    let gitlab = Proof::by(Provider::named("gitlab").unwrap(), &["old", "new:word"], 0).unwrap();
    let (bearer, basic) = (Proof::bearer(secrets()), Proof::basic(secrets()));
    use Unproven::{Malformed, Missing, Wrong};
    for (proof, field, value, expected) in [
        (&gitlab, "x-gitlab-token", "new:word", None),
        (&gitlab, "x-gitlab-token", "new:wor", Some(Wrong)),
        (&gitlab, "x-gitlab-token", "", Some(Wrong)),
        (&gitlab, "authorization", "new:word", Some(Missing)),
        (&bearer, "authorization", "Bearer new:word", None),
        (&bearer, "authorization", "bearer old:word", None),
        (&bearer, "authorization", "Bearer new:word ", Some(Wrong)),
        (&bearer, "authorization", "Bearer", Some(Malformed)),
        (&bearer, "authorization", "Basic bmV3OndvcmQ=", Some(Missing)),
        (&basic, "authorization", "Basic bmV3OndvcmQ=", None),
        (&basic, "authorization", "Basic bmV3OndvcmQ", Some(Wrong)),
        (&basic, "authorization", "Basic new:word", Some(Wrong)),
    ] {
        let headers = headers(&[(field, value)]);
        let message = Message { headers: &headers, authority: "", target: "/", body: b"" };
        assert_eq!(proof.check(&message, 0).err(), expected, "{field}: {value}");
        assert!(!proof.reads_body());
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (provider, lines) in [
        ("github", &[("x-hub-signature-256", "sha256=0"), ("x-hub-signature-256", "sha256=1")][..]),
        ("github", &[("x-hub-signature-256", "757107ea")]),
        ("stripe", &[("stripe-signature", "t=1,t=2,v1=00")]),
        ("stripe", &[("stripe-signature", "t=+1,v1=00")]),
        ("stripe", &[("stripe-signature", "v1=00")]),
        ("slack", &[("x-slack-signature", "v0=00"), ("x-slack-request-timestamp", "1e3")]),
        (
            "zendesk",
            &[
                ("x-zendesk-webhook-signature", "x"),
                ("x-zendesk-webhook-signature-timestamp", "yesterday"),
            ],
        ),
        ("twilio", &[("x-twilio-signature", "x"), ("content-type", "application/json")]),
    ] {
        let proof = Proof::by(Provider::named(provider).unwrap(), &["s"], 300).unwrap();
        let headers = headers(lines);
        let message = Message { headers: &headers, authority: "a", target: "/", body: b"{}" };
        assert_eq!(proof.check(&message, 1).err(), Some(Unproven::Malformed), "{lines:?}");
    }
}

#[test]
fn a_template_signs_the_body_once() {
    use Part::{Body, Text, Timestamp};
    let text = |it: &str| Text(it.to_owned().into());
    for (written, expected) in [
        ("{body}", Some(vec![Body])),
        ("v1:{timestamp}.{body}", Some(vec![text("v1:"), Timestamp, text("."), Body])),
        ("{body}!", Some(vec![Body, text("!")])),
        ("{timestamp}", None),
        ("{body}{body}", None),
        ("{url}{body}", None),
        ("{body", None),
    ] {
        assert_eq!(template(written).ok(), expected, "{written}");
    }
}

#[test]
fn no_print_shows_a_secret() {
    let proof = Proof::basic(vec![Secret::new("me:hunter2")]);
    assert!(!format!("{proof:?}").contains("hunter2"));
    let provider = Provider::named("svix").unwrap();
    assert_eq!(Proof::by(provider, &["whsec_"], 0).err(), Some(Unfit));
    assert_eq!(Proof::by(provider, &["not base64!"], 0).err(), Some(Unfit));
}

#[test]
fn each_row_of_the_table_is_described_somewhere() {
    for provider in Provider::all() {
        assert!(provider.source().starts_with("https://"), "{}", provider.name());
        assert_eq!(Provider::named(provider.name()), Some(provider));
        assert!(!provider.schemes().is_empty());
    }
}

proptest! {
    #[test]
    fn no_stranger_is_believed(field in "[ -~]{0,80}", stamp in "[ -~]{0,30}", body in "[ -~]{0,40}") {
        for provider in Provider::all() {
            let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let proof = Proof::by(provider, &[secret], i64::MAX).unwrap();
            let mut headers = HeaderMap::new();
            for scheme in provider.schemes() {
                headers.insert(scheme.header, HeaderValue::from_str(&field).unwrap());
                if let Stamp::Header(name, _) = scheme.stamp {
                    headers.insert(name, HeaderValue::from_str(&stamp).unwrap());
                }
            }
            let message = Message {
                headers: &headers, authority: "a", target: "/", body: body.as_bytes(),
            };
            prop_assert!(proof.check(&message, 0).is_err());
        }
    }
}
