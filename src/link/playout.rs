//! When a picture is due (pure). For now: at once.

use super::assembler::Unit;
use std::collections::VecDeque;
use std::time::Instant;

/// Whole access units that wait until they are due.
#[derive(Debug, Default)]
pub(super) struct Playout {
    waiting: VecDeque<Unit>,
}

impl Playout {
    pub fn push(&mut self, unit: Unit, _now: Instant) {
        self.waiting.push_back(unit);
    }

    pub fn pop(&mut self, _now: Instant) -> Option<Unit> {
        self.waiting.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    pub fn has_keyframe(&self) -> bool {
        self.waiting.iter().any(|unit| unit.keyframe)
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
