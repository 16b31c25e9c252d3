//! A conversation that nears the model's context is made shorter: the model writes a summary, or old results are hidden.

use serde_json::Value;
use trajforge_router::{ChatRequest, Error, Reply};
use trajforge_schema::{Condensation, CondensationMethod, FailureCode, SideCall};

use super::{Agent, user};

/// What a model is asked for a summary.
pub(super) const SUMMARISE: &str = include_str!("summarise.md");
/// What holds the summary; `{summary}` stands for it.
pub(super) const SUMMARY: &str = include_str!("summary.md");
/// What takes the place of a hidden result.
pub(super) const MASKED: &str = include_str!("masked.md");
/// The part of the context, less the reply's, that may be full.
const FULL: f64 = 0.85;
/// The part of it that the turns which stay may take.
const KEPT: f64 = 0.25;
/// What is gained must be at least this part of it, or it is not worth a call.
const WORTH: f64 = 0.2;

impl Agent {
    /// Makes the conversation shorter where it nears the model's context.
    pub(super) async fn make_room(&mut self) -> Result<(), Error> {
        let room = self.room();
        let messages = self.conversation.messages();
        let size = self.conversation.weigh(messages.iter().chain(&self.offer.tools));
        if size as f64 <= room * FULL {
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a context has few tokens"
        )]
        let keep = (room * KEPT) as u64;
        let old = self.conversation.old(keep);
        let going = self.conversation.until(old);
        let gain =
            self.conversation.weigh(&going).saturating_sub(self.conversation.weigh(&self.offer.prompt));
        if old <= self.conversation.summarised() || (gain as f64) < room * WORTH {
            return Ok(());
        }
        if !self.summarise(old, going).await? {
            self.mask(old);
        }
        Ok(())
    }

    /// Hides every result but those of the last turn; false where nothing was left to hide.
    pub(super) fn mask_all(&mut self) -> bool {
        self.mask(self.conversation.turns().saturating_sub(1))
    }

    /// Tokens that a request may have, so that there is room for the reply.
    fn room(&self) -> f64 {
        let entry = self.model.entry();
        let context = entry.context_tokens;
        context.saturating_sub(entry.output_tokens).max(context / 2) as f64
    }

    /// Has the model write down what it needs of the first turns; false where it does not.
    async fn summarise(&mut self, turns: usize, mut messages: Vec<Value>) -> Result<bool, Error> {
        let request = user(SUMMARISE);
        messages.push(request.clone());
        // With the tools, since some providers refuse calls in a conversation that offers none.
        let asked = ChatRequest { messages, tools: self.offer.tools.clone() };
        let reply = match self.model.complete(&asked).await {
            Ok(reply) => reply,
            Err(Error::Request { code: FailureCode::ContextOverflow, .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let text = reply.message["content"].as_str().unwrap_or_default().trim().to_owned();
        let side_call = Some(side_call(request, reply));
        if text.is_empty() {
            // It was paid for, and is recorded with what follows.
            self.conversation.mask(turns);
            self.condensed(CondensationMethod::Masked, turns, MASKED.trim().to_owned(), side_call);
            return Ok(true);
        }
        let text = SUMMARY.replace("{summary}", &text).trim().to_owned();
        self.conversation.summarise(turns, user(&text));
        self.condensed(CondensationMethod::Summary, turns, text, side_call);
        Ok(true)
    }

    fn mask(&mut self, turns: usize) -> bool {
        let changes = self.conversation.mask(turns);
        if changes {
            self.condensed(CondensationMethod::Masked, turns, MASKED.trim().to_owned(), None);
        }
        changes
    }

    fn condensed(
        &mut self,
        method: CondensationMethod,
        turns: usize,
        text: String,
        side_call: Option<SideCall>,
    ) {
        let last_turn = u32::try_from(turns).unwrap_or(u32::MAX);
        self.condensations.push(Condensation { method, last_turn, text, side_call });
    }
}

fn side_call(request: Value, reply: Reply) -> SideCall {
    SideCall {
        request,
        message: reply.message,
        response_id: reply.response_id,
        usage: reply.usage,
        cost: reply.cost,
        requests: reply.requests,
        seconds: reply.seconds,
    }
}
