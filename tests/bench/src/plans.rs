//! The plans of the queries that a call makes, as the database itself reports them.

use std::sync::{Arc, Mutex};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Collects what the database says of its plans: `auto_explain` reports them as notices, and the
/// driver passes notices on as events.
#[derive(Clone, Default)]
pub struct Plans(Arc<Mutex<Vec<String>>>);

impl Plans {
    /// The plans reported since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("the plans"))
    }
}

impl<S: Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "sqlx::postgres::notice" {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        if message.0.contains("plan:") {
            self.0.lock().expect("the plans").push(message.0);
        }
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
