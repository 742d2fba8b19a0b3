//! What is asked of the call of a webhook: what its head tells is decided here, what its sender has to
//! show is for whoever reads the body.

use std::sync::Arc;

use gateway_n8n::Located;
use http::{Method, header};

use super::{Policy, Question, Refusal, Step, Steps};
use crate::{Reason, Source, Webhook, rules::Encoded};

/// What is asked, by which line; and how large the body may be, or why it would be refused.
type Called = (Option<(Arc<Webhook>, Source)>, Result<u64, Refusal>);

impl Policy {
    pub(super) fn called(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<Called, Refusal> {
        let surface = Some(located.surface);
        let found = self.webhooks.find(located.surface, located.tail);
        let found = found.map_err(|Encoded| Refusal::new(Reason::AmbiguousPath, surface, None))?;
        let Some((webhook, source)) = found else { return Ok((None, Ok(u64::MAX))) };
        let (head, address) = (question.head, question.client.address);
        let length = head.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let limit = webhook.size.unwrap_or(u64::MAX);
        let too_large = length.filter(|it| *it > limit).map(|_| Reason::BodyTooLarge);
        let refused = webhook.refuses(&head.method, &head.headers, address).or(too_large);
        steps.note(|| Step {
            asked: "webhook",
            found: match (refused, &webhook.proof) {
                (Some(reason), _) => format!("not as it is sent: `{}`", reason.name()),
                (None, Some(asked)) => format!("its sender has to show `{}`", asked.name),
                (None, None) => "as it is sent".to_owned(),
            },
            source: Some(source),
        });
        if refused.is_none() && head.method == Method::OPTIONS {
            return Ok((None, Ok(limit)));
        }
        let refusal = refused.map(|reason| Refusal::new(reason, surface, Some(source)));
        let limit = self.spare(refusal.map_or(Ok(limit), Err), steps)?;
        Ok((Some((Arc::clone(webhook), source)), limit))
    }
}
