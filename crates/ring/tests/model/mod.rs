//! What the models share: how they are explored, and a record of what they have met.
#![allow(missing_docs, dead_code, reason = "tests; each uses a part")]

use std::collections::BTreeSet;
use std::sync::Mutex as RealMutex;

/// What the executions of a model have met.
#[derive(Clone, Default)]
pub(crate) struct Met(std::sync::Arc<RealMutex<BTreeSet<&'static str>>>);

impl Met {
    pub(crate) fn note(&self, what: &'static str) {
        self.0.lock().unwrap().insert(what);
    }

    pub(crate) fn all(&self, expected: &[&'static str]) {
        let met = self.0.lock().unwrap();
        for what in expected {
            assert!(met.contains(what), "no execution met {what:?}, only {met:?}");
        }
    }
}

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
pub(crate) fn model(check: impl Fn() + Sync + Send + 'static) {
    explore(0, check);
}

/// The same with two preemptions more: for models of two threads with few steps.
pub(crate) fn small_model(check: impl Fn() + Sync + Send + 'static) {
    explore(2, check);
}

fn explore(more: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) + more);
    builder.check(check);
}
