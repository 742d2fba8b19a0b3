//! Whether the client is let in: where it comes from, what it shows, and who was let in for a time.

use gateway_n8n::{Located, Surface};

use super::{Policy, Question, Refusal, Step, Steps, suspected};
use crate::{Admission, PublicHost, Reason, Rule, Shown, Who};

impl Policy {
    pub(super) fn admit(
        &self,
        question: Question<'_>,
        host: PublicHost,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<(), Refusal> {
        let surface = located.surface;
        let refuse = |reason, source| {
            let refusal = Refusal::new(reason, Some(surface), source);
            Refusal { offence: suspected(question, located).or(refusal.offence), ..refusal }
        };
        let address = question.client.address;
        steps.note(|| Step {
            asked: "client",
            found: match question.shown {
                Shown::Nothing => address.to_string(),
                shown @ (Shown::Certificate(_) | Shown::Fitting) => {
                    format!("{address}, with {shown}")
                }
            },
            source: None,
        });
        if let Some((network, source)) = self.denied(address) {
            steps.note(|| Step {
                asked: "deny",
                found: format!("in `{}`", network.name()),
                source: Some(source),
            });
            return Err(refuse(Reason::Denied, Some(source)));
        }
        if !host.serves(surface.row().origin) {
            steps.note(|| Step {
                asked: "host",
                found: "the surface is served by the other host".to_owned(),
                source: None,
            });
            return Err(refuse(Reason::OtherHost, None));
        }
        let rule = self.access.find(surface, located.tail);
        let rule = rule.map_err(|_| refuse(Reason::AmbiguousPath, None))?;
        let admission = rule.value.admits(address, question.shown);
        steps.note(|| Step {
            asked: "access",
            found: match admission {
                Admission::Open => "open to this client".to_owned(),
                Admission::Closed => "closed to this client".to_owned(),
                Admission::NeedsCertificate => {
                    let files: Vec<_> =
                        rule.value.certificates(address).map(|it| it.file.as_str()).collect();
                    format!("open to this client with a certificate of {}", files.join(" or "))
                }
            },
            source: Some(rule.source),
        });
        if admission != Admission::Open && by_window(question, surface, rule, steps) {
            return Ok(());
        }
        match admission {
            Admission::Open => Ok(()),
            Admission::NeedsCertificate => {
                Err(refuse(Reason::ClientCertificate, Some(rule.source)))
            }
            // Nothing is told to strangers, not even that a certificate would be of no use.
            Admission::Closed => Err(refuse(Reason::Closed, Some(rule.source))),
        }
    }
}

/// Whether somebody was let in for a time, whatever the rule says.
fn by_window(
    question: Question<'_>,
    surface: Surface,
    rule: &Rule<Who>,
    steps: &mut impl Steps,
) -> bool {
    let Some(window) = question.windows.find(surface, rule, question.client.address) else {
        return false;
    };
    steps.note(|| Step {
        asked: "window",
        found: format!("open to this client for a time (window {})", window.id),
        source: None,
    });
    true
}
