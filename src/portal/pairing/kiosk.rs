//! Codes that people type at the kiosk itself, one after the other, while the portal goes on showing its own.

use super::super::board::Board;
use super::enter::{Entry, Failure, Whereabouts, configured, enter};
use crate::config::Config;
use crate::discovery::Neighbour;
use crate::ops::{EnteredCode, Figures, Typed};
use crate::pairing::attempts::Showing;
use crate::pairing::{Code, Identity, Paired};
use crate::signaling::pair::Turn;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// As much of why it came to nothing as there is room for.
const LONGEST: usize = 220;

/// A portal that waits for pairing, as far as the keys are concerned.
pub(super) struct Kiosk {
    pub config: Config,
    pub identity: Identity,
    pub figures: Arc<Figures>,
    pub board: Arc<Board>,
    pub turn: Turn,
    /// This portal's own code.
    pub shown: watch::Receiver<Option<Showing>>,
    /// Who else is in the local network.
    pub found: watch::Receiver<Vec<Neighbour>>,
}

impl Kiosk {
    /// Tries each code, until one has paired.
    pub(super) async fn take(self, mut codes: mpsc::Receiver<Typed>) -> Paired {
        while let Some(typed) = codes.recv().await {
            match self.try_code(&typed).await {
                Ok(paired) => {
                    self.figures.pairing.completed.one();
                    tracing::info!(
                        far_end = %paired.far_end,
                        site = paired.site,
                        words = paired.words,
                        "paired, by the code that was entered at the kiosk"
                    );
                    return paired;
                }
                // Whoever waits for that one tells of it.
                Err(Refused::Failed(Failure::Meanwhile)) => break,
                Err(refused) => {
                    tracing::warn!("the code that was entered at the kiosk has not paired: {refused}");
                    self.board.entered(EnteredCode::Refused(in_short(&refused.to_string())));
                    // What was sent meanwhile is the same key, pressed twice: it would cost another code.
                    while codes.try_recv().is_ok() {}
                }
            }
        }
        std::future::pending().await
    }

    async fn try_code(&self, typed: &Typed) -> Result<Paired, Refused> {
        let code: Code = typed.code.parse()?;
        if matches!(*self.shown.borrow(), Some(Showing::Code(own, _)) if own == code) {
            return Err(Refused::Own);
        }
        let entry = Entry {
            config: &self.config,
            identity: &self.identity,
            listening: configured(&self.config),
            figures: &self.figures,
            turn: &self.turn,
        };
        let tell = |step: super::enter::Step| self.board.entered(EnteredCode::Tried(step.to_string()));
        Ok(enter(&code, Whereabouts::Among(self.found.clone(), typed.shown_by.clone()), &entry, &tell).await?)
    }
}

/// Why a code that was typed has not paired.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Typing(#[from] crate::pairing::NotACode),
    #[error("this is the code of this portal itself; enter the one that the other portal shows")]
    Own,
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// In one line, with a capital letter, no longer than there is room for.
fn in_short(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut characters = line.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let rest: String = characters.by_ref().take(LONGEST).collect();
    let more = if characters.next().is_some() { "…" } else { "" };
    format!("{first}{rest}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_not_is_one_line_that_fits() {
        assert_eq!(in_short("no portal\n  here"), "No portal here");
        assert_eq!(in_short(""), "");
        let long = in_short(&"é ".repeat(400));
        assert!(long.starts_with("É é") && long.ends_with('…') && long.chars().count() <= LONGEST + 2, "{long}");
    }
}
