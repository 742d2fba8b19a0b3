//! What is done to n8n's answers before they go out.

/// What is done to n8n's answers before they go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRules {
    /// Whether what they tell too much is taken out: releases, files' places, which webhooks are there.
    pub discreet: bool,
    /// Whether what workflows write is shown in a sandbox.
    pub sandbox: bool,
    /// Whether only the gateway's own pages may frame the editor.
    pub frames: bool,
}

impl AnswerRules {
    /// They go out as they come.
    pub const UNTOUCHED: Self = Self { discreet: false, sandbox: false, frames: false };
}

impl Default for AnswerRules {
    fn default() -> Self {
        Self { discreet: true, sandbox: true, frames: true }
    }
}
